package aws_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
)

func write(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "identities.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const everybody = `{"identities":[{"namespace":"default","serviceAccount":"reader"},{"namespace":"other","serviceAccount":"writer"}]}`

// lives are the shortest and the longest life of the tokens of many pods.
func lives(t *testing.T, mutator *identity.Mutator, pod string) (least, most int64) {
	t.Helper()
	for range 200 {
		got := identitytest.Inject(t, mutator, []byte(pod))
		life := *identitytest.Typed(t, got.Object).Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds
		if least == 0 || life < least {
			least = life
		}
		most = max(most, life)
	}
	return least, most
}

func TestLivesOfPodIdentities(t *testing.T) {
	const plain = `{"metadata":{},"spec":{"serviceAccountName":"reader"}}`
	const asking = `{"metadata":{"annotations":{"eks.amazonaws.com/token-expiration":"86400"}},"spec":{"serviceAccountName":"reader"}}`
	for name, tc := range map[string]struct {
		annotations map[string]string // of the ServiceAccount; nil: there is none
		roles, pod  string
		spread      bool // over 79200 to 86400 seconds
		want        int64
	}{
		"by default":                              {annotations: map[string]string{}, pod: plain, want: 1800},
		"of the ServiceAccount":                   {annotations: map[string]string{"eks.amazonaws.com/token-expiration": "7200"}, pod: plain, want: 7200},
		"the longest of the ServiceAccount":       {annotations: map[string]string{"eks.amazonaws.com/token-expiration": "86400"}, pod: plain, spread: true},
		"the longest of the pod":                  {annotations: map[string]string{}, pod: asking, spread: true},
		"without a ServiceAccount":                {pod: plain, spread: true}, // not the configuration's
		"of the roles, without a ServiceAccount":  {roles: `{"default/reader":{"RoleARN":"r","TokenExpiration":900}}`, pod: plain, want: 900},
		"of the roles, without a role":            {roles: `{"default/reader":{"TokenExpiration":900}}`, pod: plain, want: 900},
		"of the roles, raised":                    {roles: `{"default/reader":{"TokenExpiration":9}}`, pod: plain, want: 600},
		"of the roles, the configuration's":       {roles: `{"default/reader":{"UseRegionalSTS":true}}`, pod: plain, want: 1800},
		"of a bad entry":                          {roles: `{"default/reader":{"RoleARN":5,"TokenExpiration":900}}`, pod: plain, spread: true},
		"patterns of the roles are not looked at": {roles: `{"*/reader":{"RoleARN":"r","TokenExpiration":900}}`, pod: plain, spread: true},
	} {
		t.Run(name, func(t *testing.T) {
			source := &configMaps{}
			source.set(tc.roles)
			var known identitytest.One
			if tc.annotations != nil {
				known.ServiceAccount = identitytest.ServiceAccount("reader", tc.annotations)
			}
			mutator := identitytest.New(t, identity.Config{AWS: &aws.Config{
				TokenExpirationSeconds: new(int64(1800)),
				RoleConfigMap:          &aws.RoleConfigMap{},
				ContainerCredentials:   &aws.ContainerCredentials{File: write(t, everybody)},
			}}, identity.Sources{ServiceAccounts: known, Roles: rolesFrom(source, nil)})
			least, most := lives(t, mutator, tc.pod)
			switch {
			case !tc.spread && (least != tc.want || most != tc.want):
				t.Errorf("between %d and %d s, want %d s", least, most, tc.want)
			case tc.spread && (least < 79200 || most > 86400 || most-least < 3600):
				t.Errorf("between %d and %d s, want them spread over 79200 to 86400 s", least, most)
			}
		})
	}
}

func TestFilesOfPodIdentities(t *testing.T) {
	for name, tc := range map[string]struct {
		file, text string
		want       bool // whether the pod has one
		err        string
	}{
		"listed":             {text: everybody, want: true},
		"not listed":         {text: `{"identities":[{"namespace":"default","serviceAccount":"*"}]}`},
		"unknown fields":     {text: `{"version":2,"identities":[{"namespace":"default","serviceAccount":"reader","role":"x"}]}`, want: true},
		"an empty file":      {text: ""},
		"no file":            {file: "absent.json"},
		"not JSON":           {text: "identities: []", err: "reading the EKS Pod Identities of FILE: invalid character 'i' looking for beginning of value"},
		"a folder":           {file: t.TempDir(), err: "reading the EKS Pod Identities: read FILE: is a directory"},
		"of the wrong shape": {text: `{"identities":{}}`, err: "reading the EKS Pod Identities of FILE: json: cannot unmarshal object into Go struct field .identities of type []aws.podIdentity"},
	} {
		t.Run(name, func(t *testing.T) {
			file := tc.file
			if file == "" {
				file = write(t, tc.text)
			}
			cfg := identity.Config{AWS: &aws.Config{ContainerCredentials: &aws.ContainerCredentials{File: file}}}
			cfg.SetDefaults()
			mutator, err := identity.New(cfg, identity.Sources{ServiceAccounts: identitytest.Everyone{}})
			if err != nil {
				if diff := cmp.Diff(strings.ReplaceAll(tc.err, "FILE", file), err.Error()); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				return
			}
			got := identitytest.Pass(t, mutator, []byte(`{"metadata":{},"spec":{"serviceAccountName":"reader"}}`))
			if has := len(got.Operations) > 0; has != tc.want || tc.err != "" {
				t.Errorf("has an identity: %t, want %t, and %q", has, tc.want, tc.err)
			}
		})
	}
}
