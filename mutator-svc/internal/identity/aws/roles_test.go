package aws_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/sdk"
)

// configMaps is a cluster with at most one ConfigMap.
type configMaps struct{ now *corev1.ConfigMap }

func (c *configMaps) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	if c.now == nil || c.now.Namespace != namespace || c.now.Name != name {
		return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
	}
	return c.now, nil
}

func (c *configMaps) set(config string) {
	c.now = &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "eks", Name: "pod-identity-webhook"},
		Data:       map[string]string{"config": config},
	}
}

const role = "arn:aws:iam::111122223333:role/"

// rolesOf says in short what a pod got: its role, and its token's audience and life.
func rolesOf(t *testing.T, mutator sdk.Mutator) string {
	t.Helper()
	got := identitytest.Inject(t, mutator, []byte(`{"metadata":{},"spec":{"serviceAccountName":"reader","containers":[{"name":"app"}]}}`))
	if len(got.Operations) == 0 {
		return strings.Join(got.Warnings, "; ")
	}
	pod := identitytest.Typed(t, got.Object)
	var parts []string
	for _, v := range pod.Spec.Containers[0].Env {
		if v.Name == "AWS_ROLE_ARN" {
			parts = append(parts, strings.TrimPrefix(v.Value, role))
		}
		if v.Name == "AWS_STS_REGIONAL_ENDPOINTS" {
			parts = append(parts, v.Value)
		}
	}
	token := pod.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken
	return strings.Join(append(parts, fmt.Sprintf("%q", token.Audience), fmt.Sprint(*token.ExpirationSeconds)), " ")
}

func TestRolesOfTheConfigMap(t *testing.T) {
	for name, tc := range map[string]struct {
		roles          string
		serviceAccount map[string]string // nil: there is none
		want           string
	}{
		"by name": {
			roles: `{"default/reader":{"RoleARN":"` + role + `r","Audience":"a","UseRegionalSTS":true,"TokenExpiration":3600}}`,
			want:  `regional r "a" 3600`,
		},
		"the keys of an entry in any case, and what it leaves out": {
			roles: `{"default/reader":{"rolearn":"` + role + `r"}}`,
			want:  `r "" 7200`, // kube-apiserver's audience; the life of the configuration
		},
		"a life that kube-apiserver would refuse is raised": {
			roles: `{"default/reader":{"RoleARN":"` + role + `r","TokenExpiration":300}}`,
			want:  `r "" 600`,
		},
		"the annotation wins": {
			roles:          `{"default/reader":{"RoleARN":"` + role + `r"}}`,
			serviceAccount: map[string]string{"eks.amazonaws.com/role-arn": role + "mine"},
			want:           `mine "sts.amazonaws.com" 7200`,
		},
		"of a ServiceAccount without a role all is the entry's": {
			roles:          `{"default/reader":{"RoleARN":"` + role + `r"}}`,
			serviceAccount: map[string]string{"eks.amazonaws.com/audience": "x", "eks.amazonaws.com/token-expiration": "900"},
			want:           `r "" 7200`,
		},
		"any namespace": {roles: `{"*/reader":{"RoleARN":"` + role + `any"}}`, want: `any "" 7200`},
		"some namespaces": {
			roles: `{"*/reader":{"RoleARN":"` + role + `any"},"def*/reader":{"RoleARN":"` + role + `some"},"def*/r*":{"RoleARN":"` + role + `fewer"},"prod-*/reader":{"RoleARN":"` + role + `no"}}`,
			want:  `some "" 7200`,
		},
		"a name before a pattern": {
			roles: `{"defaul?/reader":{"RoleARN":"` + role + `some"},"default/reader":{"RoleARN":"` + role + `one"}}`,
			want:  `one "" 7200`,
		},
		"nobody": {
			roles: `{"default/writer":{"RoleARN":"` + role + `w"},"other/reader":{"RoleARN":"` + role + `o"}}`,
			want:  `ServiceAccount "reader" not found; the pod got no identity`,
		},
		"bad entries beside a good one": {
			roles: `{"noslash":{"RoleARN":"x"},"a/b/c":{"RoleARN":"x"},"default/null":null,"default/number":7,"[/reader":{"RoleARN":"x"},"/x":{"RoleARN":"x"},
				"default/empty":{},"default/reader":{"RoleARN":"` + role + `r"}}`,
			want: `r "" 7200`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			source := &configMaps{}
			source.set(tc.roles)
			var known identitytest.One
			if tc.serviceAccount != nil {
				known.ServiceAccount = identitytest.ServiceAccount("reader", tc.serviceAccount)
			}
			cfg := identity.Config{AWS: &aws.Config{RoleConfigMap: &aws.RoleConfigMap{}, TokenExpirationSeconds: new(int64(7200))}}
			if got := rolesOf(t, identitytest.New(t, cfg, identity.Sources{ServiceAccounts: known, ConfigMaps: source})); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestRolesFollowTheConfigMap(t *testing.T) {
	var logs bytes.Buffer
	source := &configMaps{}
	mutator := identitytest.New(t, identity.Config{AWS: &aws.Config{RoleConfigMap: &aws.RoleConfigMap{}}}, identity.Sources{
		ServiceAccounts: identitytest.One{}, ConfigMaps: source, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
	})
	const none = `ServiceAccount "reader" not found; the pod got no identity`
	for _, step := range []struct {
		what string
		do   func()
		want string
		logs []string // what is said of it
	}{
		{"there is none", func() {}, none, nil},
		{"it comes", func() { source.set(`{"default/reader":{"RoleARN":"` + role + `r"}}`) }, `r "" 86400`, []string{"roles in force", "service_accounts=1"}},
		{"nothing changes", func() {}, `r "" 86400`, nil},
		{"it breaks", func() { source.set(`{"default/reader":`) }, `r "" 86400`, []string{"level=ERROR", "config_map=eks/pod-identity-webhook", "the last good ones stay in force"}},
		{"it is mended", func() { source.set(`{"default/reader":{"RoleARN":"` + role + `s"},"x":{}}`) }, `s "" 86400`, []string{"entry=x", "write NAMESPACE/SERVICEACCOUNT"}},
		{"it is emptied", func() { source.set("") }, none, []string{"service_accounts=0"}},
		{"it is filled", func() { source.set(`{"default/reader":{"RoleARN":"` + role + `t"}}`) }, `t "" 86400`, []string{"service_accounts=1"}},
		{"it goes", func() { source.now = nil }, none, nil},
	} {
		logs.Reset()
		step.do()
		if diff := cmp.Diff(step.want, rolesOf(t, mutator)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
		for _, want := range step.logs {
			if !strings.Contains(logs.String(), want) {
				t.Errorf("%s: no %q in the log:\n%s", step.what, want, &logs)
			}
		}
		if step.logs == nil && logs.Len() > 0 {
			t.Errorf("%s: want nothing in the log:\n%s", step.what, &logs)
		}
	}
}

func FuzzRoles(f *testing.F) {
	f.Add(`{"default/reader":{"RoleARN":"r"}}`)
	f.Add(`{"*/reader":null,"[a/reader":{"RoleARN":"x"},"a":{}}`)
	f.Add(`{"default/*":{"RoleARN":"\\","TokenExpiration":-1}}`)
	f.Fuzz(func(t *testing.T, config string) {
		source := &configMaps{}
		source.set(config)
		rolesOf(t, identitytest.New(t, identity.Config{AWS: &aws.Config{RoleConfigMap: &aws.RoleConfigMap{}}},
			identity.Sources{ServiceAccounts: identitytest.One{}, ConfigMaps: source}))
	})
}
