package aws_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
)

func TestRolesFollowTheConfigMap(t *testing.T) {
	var logs bytes.Buffer
	source := &configMaps{}
	mutator := withRoles(t, source, &logs)
	const none = `ServiceAccount "reader" not found; the pod got no AWS identity`
	for _, step := range []struct {
		what string
		do   func()
		want string
		logs []string // what is said of it
	}{
		{"there is none", func() {}, none, nil},
		{"it comes", func() { source.set(`{"default/reader":{"RoleARN":"` + role + `r"}}`) }, `r "" 86400`, []string{"roles in force", "service_accounts=1"}},
		{"nothing changes", func() {}, `r "" 86400`, nil},
		{"it breaks", func() { source.set("{\n\"default/reader\":") }, `r "" 86400`, []string{"level=ERROR", "config_map=eks/pod-identity-webhook", "the last good ones stay in force", "line 2: unexpected end of JSON input"}},
		{"it is null", func() { source.set("null") }, `r "" 86400`, []string{"the last good ones stay in force", "it is null"}},
		{"it breaks in another way", func() { source.set("[]") }, `r "" 86400`, []string{"the last good ones stay in force", "line 1: it is a list, want an object"}},
		{"it cannot be read", func() { source.err = errors.New("forbidden") }, `r "" 86400`, nil},
		{"it can be read again", func() { source.err = nil }, `r "" 86400`, nil},
		{"it is mended", func() { source.set(`{"default/reader":{"RoleARN":"` + role + `s"},"x":{}}`) }, `s "" 86400`, []string{"entry=x", "write NAMESPACE/SERVICEACCOUNT"}},
		{"it is emptied", func() { source.set("") }, none, []string{"service_accounts=0"}},
		{"it is filled", func() { source.set(`{"default/reader":{"RoleARN":"` + role + `t"}}`) }, `t "" 86400`, []string{"service_accounts=1"}},
		{"it goes", func() { source.now = nil }, none, nil},
		{"it still is not there when it cannot be read", func() { source.err = errors.New("forbidden") }, none, nil},
		{"it comes back broken", func() { source.err = nil; source.set("{") }, none, []string{"there are none in force"}},
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

func TestRolesThatCouldNeverBeRead(t *testing.T) {
	cause := errors.New("not yet listed")
	pod := identitytest.Request([]byte(`{"metadata":{},"spec":{"serviceAccountName":"reader","containers":[{"name":"app"}]}}`))
	listed := &aws.ContainerCredentials{File: write(t, everybody)}
	for name, tc := range map[string]struct {
		serviceAccount map[string]string // nil: there is none
		credentials    *aws.ContainerCredentials
		fails          bool
	}{
		"no ServiceAccount":                   {fails: true},
		"no annotation":                       {serviceAccount: map[string]string{}, fails: true},
		"an empty one":                        {serviceAccount: map[string]string{"eks.amazonaws.com/role-arn": ""}, fails: true},
		"a role":                              {serviceAccount: map[string]string{"eks.amazonaws.com/role-arn": role + "r"}},
		"a Pod Identity":                      {serviceAccount: map[string]string{}, credentials: listed},
		"a Pod Identity of no ServiceAccount": {credentials: listed, fails: true}, // its life may be in the ConfigMap
	} {
		t.Run(name, func(t *testing.T) {
			var known identitytest.One
			if tc.serviceAccount != nil {
				known.ServiceAccount = identitytest.ServiceAccount("reader", tc.serviceAccount)
			}
			source := &configMaps{err: cause}
			mutator := identitytest.New(t, identity.Config{AWS: &aws.Config{RoleConfigMap: &aws.RoleConfigMap{}, ContainerCredentials: tc.credentials}},
				identity.Sources{ServiceAccounts: known, Roles: rolesFrom(source, nil)})
			switch got, err := mutator.Mutate(t.Context(), pod); {
			case tc.fails && !errors.Is(err, cause):
				t.Errorf("Mutate = %v, %v, want the error", got, err)
			case !tc.fails && (err != nil || got.Patch.Empty()):
				t.Errorf("Mutate = %v, %v, want a patch", got, err)
			}
			source.err = nil
			if _, err := mutator.Mutate(t.Context(), pod); err != nil {
				t.Errorf("Mutate, when it can be read: %v", err)
			}
		})
	}
}

func TestRolesOutliveTheMutator(t *testing.T) {
	var logs bytes.Buffer
	source := &configMaps{}
	source.set(`{"default/reader":{"RoleARN":"` + role + `r"}}`)
	cfg := identity.Config{AWS: &aws.Config{RoleConfigMap: &aws.RoleConfigMap{}}}
	from := identity.Sources{ServiceAccounts: identitytest.One{}, Roles: rolesFrom(source, &logs)}
	for _, config := range []string{"", "{", ""} {
		if config != "" {
			source.set(config)
		}
		if got := rolesOf(t, identitytest.New(t, cfg, from)); got != `r "" 86400` {
			t.Errorf("got %s", got)
		}
	}
	if n := strings.Count(logs.String(), "msg="); n != 2 {
		t.Errorf("%d lines in the log, want one for each ConfigMap:\n%s", n, &logs)
	}
}

type script struct{ next []*corev1.ConfigMap }

func (s *script) ConfigMap(string, string) (*corev1.ConfigMap, error) {
	now := s.next[0]
	if len(s.next) > 1 {
		s.next = s.next[1:]
	}
	return now, nil
}

func TestTheNewestConfigMapIsRead(t *testing.T) {
	var logs bytes.Buffer
	older, newer := configMap(`{"default/reader":{"RoleARN":"`+role+`older"}}`), configMap(`{"default/reader":{"RoleARN":"`+role+`newer"}}`)
	mutator := withRoles(t, &script{[]*corev1.ConfigMap{older, newer}}, &logs)
	if got := rolesOf(t, mutator); got != `newer "" 86400` || strings.Count(logs.String(), "roles in force") != 1 {
		t.Errorf("got %s, and in the log\n%s", got, &logs)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	var logs bytes.Buffer // written to by one at a time
	mutator := withRoles(t, &configMaps{now: configMap(`{"default/reader":{"RoleARN":"` + role + `r"}}`)}, &logs)
	const many = 8
	var all, asking sync.WaitGroup
	all.Add(many)
	for range many {
		asking.Go(func() {
			all.Done()
			all.Wait()
			for range 20 {
				if got := rolesOf(t, mutator); got != `r "" 86400` {
					t.Errorf("got %s", got)
				}
			}
		})
	}
	asking.Wait()
	if n := strings.Count(logs.String(), "roles in force"); n != 1 {
		t.Errorf("read %d times, want once", n)
	}
}
