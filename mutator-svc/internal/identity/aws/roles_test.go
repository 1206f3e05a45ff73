package aws_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
	"github.com/gatefold/gatefold/sdk"
)

// configMaps is a cluster with at most one ConfigMap.
type configMaps struct {
	now *corev1.ConfigMap
	err error // cannot be read
}

func (c *configMaps) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	if c.err != nil {
		return nil, c.err
	}
	if c.now == nil || c.now.Namespace != namespace || c.now.Name != name {
		return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
	}
	return c.now, nil
}

func (c *configMaps) set(config string) { c.now = configMap(config) }

func configMap(config string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "eks", Name: "pod-identity-webhook"},
		Data:       map[string]string{"config": config},
	}
}

// rolesFrom are those of the ConfigMap that configurations name by default.
func rolesFrom(source aws.ConfigMaps, logs io.Writer) *aws.Roles {
	at := aws.RoleConfigMap{Namespace: "eks", Name: "pod-identity-webhook"}
	if logs == nil {
		return aws.NewRoles(source, at, nil)
	}
	return aws.NewRoles(source, at, slog.New(slog.NewTextHandler(logs, nil)))
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

const unusable = `the role of ServiceAccount "reader" in the roles' ConfigMap cannot be used; no role`

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
		"nobody": {
			roles: `{"default/writer":{"RoleARN":"` + role + `w"},"other/reader":{"RoleARN":"` + role + `o"}}`,
			want:  `ServiceAccount "reader" not found; the pod got no AWS identity`,
		},
		"bad entries beside a good one": {
			roles: `{"noslash":{"RoleARN":"x"},"a/b/c":{"RoleARN":"x"},"default/null":null,"default/number":7,"[/reader":{"RoleARN":"x"},"default/[r":{"RoleARN":"x"},
				"/x":{"RoleARN":"x"},"default/":{"RoleARN":"x"},"default/empty":{},"default/reader":{"RoleARN":"` + role + `r"}}`,
			want: `r "" 7200`,
		},
		"the longest life there is":       {roles: `{"default/reader":{"RoleARN":"` + role + `r","TokenExpiration":4294967296}}`, want: `r "" 4294967296`},
		"a longer one":                    {roles: `{"default/reader":{"RoleARN":"` + role + `r","TokenExpiration":4294967297}}`, want: unusable},
		"a negative one":                  {roles: `{"default/reader":{"RoleARN":"` + role + `r","TokenExpiration":-1}}`, want: unusable},
		"a bad entry, not the pattern's":  {roles: `{"default/reader":{"RoleARN":5},"default/*":{"RoleARN":"` + role + `w"}}`, want: unusable},
		"a bad one of another":            {roles: `{"default/writer":{"RoleARN":5},"default/*":{"RoleARN":"` + role + `w"}}`, want: `w "" 7200`},
		"an empty role":                   {roles: `{"default/reader":{"RoleARN":""},"default/*":{"RoleARN":"` + role + `w"}}`, want: unusable},
		"null":                            {roles: `{"default/reader":null,"default/*":{"RoleARN":"` + role + `w"}}`, want: unusable},
		"a bad pattern's":                 {roles: `{"def*/reader":{"RoleARN":["x"]},"*/reader":{"RoleARN":"` + role + `w"}}`, want: unusable},
		"a pattern with settings alone":   {roles: `{"def*/reader":{"TokenExpiration":900},"*/reader":{"RoleARN":"` + role + `w"}}`, want: unusable},
		"a bad pattern, less particular":  {roles: `{"*/reader":7,"def*/reader":{"RoleARN":"` + role + `w"}}`, want: `w "" 7200`},
		"settings alone":                  {roles: `{"default/reader":{"TokenExpiration":900},"default/*":{"RoleARN":"` + role + `w"}}`, want: `the roles' ConfigMap has ServiceAccount "reader", but no role for it`},
		"an empty annotation":             {roles: `{"default/reader":{"RoleARN":"` + role + `r"}}`, serviceAccount: map[string]string{"eks.amazonaws.com/role-arn": ""}, want: `r "" 7200`},
		"the annotation, not a bad entry": {roles: `{"default/reader":7}`, serviceAccount: map[string]string{"eks.amazonaws.com/role-arn": role + "mine"}, want: `mine "sts.amazonaws.com" 7200`},
		"a bad entry, no annotation":      {roles: `{"default/reader":7}`, serviceAccount: map[string]string{}, want: unusable},
		"no JSON, and nothing before it":  {roles: `{`, want: `ServiceAccount "reader" not found; the pod got no AWS identity`},
	} {
		t.Run(name, func(t *testing.T) {
			source := &configMaps{}
			source.set(tc.roles)
			var known identitytest.One
			if tc.serviceAccount != nil {
				known.ServiceAccount = identitytest.ServiceAccount("reader", tc.serviceAccount)
			}
			cfg := identity.Config{AWS: &aws.Config{RoleConfigMap: &aws.RoleConfigMap{}, TokenExpirationSeconds: new(int64(7200))}}
			if got := rolesOf(t, identitytest.New(t, cfg, identity.Sources{ServiceAccounts: known, Roles: rolesFrom(source, nil)})); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// Of all that match the most particular one wins, whatever the order in which they stand there.
func TestTheMostParticularPatternWins(t *testing.T) {
	for _, tc := range []struct {
		namespace, name, wins string
		others                []string
	}{
		{"shop", "web", "shop/web", []string{"shop/*", "*/web", "sho[p]/web", `sho\p/web`, "shop/we?"}},
		{"shop", "web", "shop/*", []string{"*/web", "sh*p/web", "shop*/web", "*/*", "shop?/web"}},
		{"shop", "web", "shop*/*", []string{"sho*/web", "s?op/web", "[s]ho[a-p]*/web", "*/web"}},
		{"shop", "web", "*/web", []string{"*/*", "*/we*", "*/web*", "?*/web"}},
		{"shop", "web", "shop/we*", []string{"shop/w*", "shop/?e?", "shop/w[a-e]?", "shop/[w-z][a-e]b", "shop/*"}},
		{"shop", "web", `s\h\op*/w*`, []string{"sho*/web", `[\s]h*/web`}},
		{"shop-a1", "web", "shop-a*/w*", []string{"shop-*/web", "shop-??/web", "shop-[ab][0-9]/web", `shop-[\]-a]*/web`}},
		{"aa", "web", "*a/web", []string{"a*/web", "a?/web"}},
	} {
		t.Run(tc.namespace+"/"+tc.name+" "+tc.wins, func(t *testing.T) {
			for _, other := range tc.others {
				entries := map[string]map[string]string{
					tc.wins: {"RoleARN": role + "wins"}, other: {"RoleARN": role + "loses"}, "shop-b*/web": {"RoleARN": role + "no"},
				}
				text, err := json.Marshal(entries)
				if err != nil {
					t.Fatal(err)
				}
				req := identitytest.Request([]byte(`{"metadata":{},"spec":{"serviceAccountName":"` + tc.name + `","containers":[{"name":"app"}]}}`))
				req.Namespace = tc.namespace
				mutator := withRoles(t, &configMaps{now: configMap(string(text))}, nil)
				got, err := mutator.Mutate(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				operations, err := got.Patch.Operations()
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(fmt.Sprint(operations), role+"wins") {
					t.Errorf("%s wins over it: %v", other, operations)
				}
			}
		})
	}
}

// withRoles is a mutator in a cluster without ServiceAccounts.
func withRoles(t testing.TB, source aws.ConfigMaps, logs io.Writer) *identity.Mutator {
	t.Helper()
	return identitytest.New(t, identity.Config{AWS: &aws.Config{RoleConfigMap: &aws.RoleConfigMap{}}},
		identity.Sources{ServiceAccounts: identitytest.One{}, Roles: rolesFrom(source, logs)})
}

// What is not known is no answer, where it matters.
func TestBadEntriesAreLogged(t *testing.T) {
	for key, tc := range map[string]struct{ value, want string }{
		"noslash":   {`{"RoleARN":"x"}`, "write NAMESPACE/SERVICEACCOUNT"},
		"a/b/c":     {`{"RoleARN":"x"}`, "write NAMESPACE/SERVICEACCOUNT"},
		"/x":        {`{"RoleARN":"x"}`, "write NAMESPACE/SERVICEACCOUNT"},
		"x/":        {`{"RoleARN":"x"}`, "write NAMESPACE/SERVICEACCOUNT"},
		"[a/x":      {`{"RoleARN":"x"}`, "reading the pattern [a: syntax error in pattern"},
		"a/null":    {`null`, "it has no RoleARN"},
		"a/nothing": {`{}`, "it has no RoleARN"},
		"a/false":   {`{"UseRegionalSTS":false,"Audience":"a"}`, "it has no RoleARN"},
		"*/x":       {`{"UseRegionalSTS":true}`, "it has no RoleARN"},
		"a/number":  {`7`, "it is a number, want an object"},
		"a/role":    {`{"RoleARN":5}`, "RoleARN is a number, want a string"},
		"a/sts":     {`{"RoleARN":"x","UseRegionalSTS":"true"}`, "UseRegionalSTS is a string, want true or false"},
		"a/text":    {`{"RoleARN":"x","TokenExpiration":"900"}`, "TokenExpiration is a string, want a whole number"},
		"a/part":    {`{"RoleARN":"x","TokenExpiration":1.5}`, "TokenExpiration is a number 1.5, want a whole number"},
		"a/long":    {`{"RoleARN":"x","TokenExpiration":4294967297}`, "TokenExpiration is 4294967297, want 0 to 4294967296"},
		"a/minus":   {`{"TokenExpiration":-1}`, "TokenExpiration is -1, want 0 to 4294967296"},
		"a/life":    {`{"TokenExpiration":900}`, ""},
		"a/sts1":    {`{"UseRegionalSTS":true}`, ""},
	} {
		t.Run(key, func(t *testing.T) {
			var logs bytes.Buffer
			mutator := withRoles(t, &configMaps{now: configMap(`{"` + key + `":` + tc.value + `}`)}, &logs)
			rolesOf(t, mutator)
			rolesOf(t, mutator)
			const complaint = `level=ERROR msg="an entry of the roles cannot be used"`
			switch {
			case tc.want == "" && strings.Contains(logs.String(), "ERROR"):
				t.Errorf("want no complaint:\n%s", &logs)
			case tc.want != "" && (strings.Count(logs.String(), complaint) != 1 ||
				!strings.Contains(logs.String(), fmt.Sprintf("config_map=eks/pod-identity-webhook entry=%s error=%q", key, tc.want))):
				t.Errorf("want one complaint, of %q:\n%s", tc.want, &logs)
			}
		})
	}
}

// A configuration that is reloaded makes a mutator anew, and the last good ConfigMap stays in force.
func TestNewWantsRolesForAConfigMap(t *testing.T) {
	cfg := aws.Config{RoleConfigMap: &aws.RoleConfigMap{}}
	cfg.SetDefaults()
	if _, err := aws.New(cfg, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "identity.aws.roleConfigMap") {
		t.Errorf("New: %v, want an error that names the field", err)
	}
}

// script is a cluster whose ConfigMap changes each time that it is asked for; the last one stays.
// Who waited to read the ConfigMap must not put back one that is older than what others have read.
func TestUnusableRolesAndPolicies(t *testing.T) {
	source := &configMaps{}
	for name, tc := range map[string]struct {
		policy           profile.Policy
		roles            string
		warnings, denial string
	}{
		"Allow":                {profile.Allow, `{"default/reader":7}`, "", ""},
		"Warn":                 {profile.Warn, `{"default/reader":7}`, unusable, ""},
		"Deny":                 {profile.Deny, `{"default/reader":7}`, "", `the role of ServiceAccount "reader" in the roles' ConfigMap cannot be used`},
		"Deny, settings alone": {profile.Deny, `{"default/reader":{"UseRegionalSTS":true}}`, `the roles' ConfigMap has ServiceAccount "reader", but no role for it`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			source.set(tc.roles)
			cfg := identity.Config{AWS: &aws.Config{RoleConfigMap: &aws.RoleConfigMap{}, Policies: profile.Policies{InvalidValue: tc.policy}}}
			got := identitytest.Inject(t, identitytest.New(t, cfg, identity.Sources{ServiceAccounts: identitytest.One{}, Roles: rolesFrom(source, nil)}),
				[]byte(`{"metadata":{},"spec":{"serviceAccountName":"reader","containers":[{"name":"app"}]}}`))
			if diff := cmp.Diff(tc.warnings, strings.Join(got.Warnings, "; ")); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.denial, got.Denial.GetMessage()); diff != "" {
				t.Errorf("denial (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzRoles(f *testing.F) {
	f.Add(`{"default/reader":{"RoleARN":"r"}}`)
	f.Add(`{"*/reader":null,"[a/reader":{"RoleARN":"x"},"a":{}}`)
	f.Add(`{"default/*":{"RoleARN":"\\","TokenExpiration":-1}}`)
	f.Add(`{"de[\\]-f]*/\\r[a-z]*":{"RoleARN":"r"},"*/*":{}}`)
	f.Fuzz(func(t *testing.T, config string) {
		source := &configMaps{}
		source.set(config)
		rolesOf(t, withRoles(t, source, nil))
	})
}
