package aws_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/sdk/config"
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
	const shape = `FILE: not {"identities": [{"namespace": …, "serviceAccount": …}]}: `
	for name, tc := range map[string]struct {
		file, text string
		want       bool // whether the pod has one
		logs       string
		err        string
	}{
		"listed":           {text: everybody, want: true, logs: `level=INFO msg="list of EKS Pod Identities read" file=FILE service_accounts=2`},
		"not listed":       {text: `{"identities":[{"namespace":"default","serviceAccount":"*"}]}`, logs: "service_accounts=1"},
		"listed twice":     {text: `{"identities":[{"namespace":"a","serviceAccount":"b"},{"namespace":"a","serviceAccount":"b"}]}`, logs: "service_accounts=1"},
		"unknown fields":   {text: `{"version":2,"identities":[{"namespace":"default","serviceAccount":"reader","role":"x"}]}`, want: true, logs: "service_accounts=1"},
		"fields in a case": {text: `{"Identities":[{"Namespace":"default","serviceaccount":"reader"}]}`, want: true, logs: "service_accounts=1"},
		"an empty file":    {text: "", logs: "level=INFO service_accounts=0"},
		"an empty object":  {text: "{}", logs: "service_accounts=0"},
		"an empty list":    {text: `{"identities":[]}`, logs: "service_accounts=0"},
		"no list":          {text: `{"identities":null}`, logs: "service_accounts=0"},
		"no file": {
			file: "absent.json",
			logs: `level=WARN msg="no list of EKS Pod Identities: no ServiceAccount has one until there is a file" file=absent.json`,
		},
		"not JSON":         {text: "identities: []", err: "FILE: not the JSON of a list of identities: line 1: invalid character 'i' looking for beginning of value"},
		"half of it":       {text: "{\n\"identities\": [\n", err: "FILE: not the JSON of a list of identities: line 2: unexpected end of JSON input"},
		"two of them":      {text: "{}\n\n{}", err: "FILE: not the JSON of a list of identities: line 3: invalid character '{' after top-level value"},
		"a break in text":  {text: "{\"identities\n", err: `FILE: not the JSON of a list of identities: line 1: invalid character '\n' in string literal`},
		"a folder":         {file: t.TempDir(), err: "read FILE: is a directory"},
		"another shape":    {text: "{\n\"identities\":{}}", err: shape + "line 2: identities is an object, want a list"},
		"a list":           {text: `[{"namespace":"a","serviceAccount":"b"}]`, err: shape + "line 1: it is a list, want an object"},
		"names":            {text: `{"identities":["a/b"]}`, err: shape + "line 1: identities is a string, want an object"},
		"a number":         {text: `{"identities":[{"namespace":"a","serviceAccount":7}]}`, err: shape + "line 1: identities.serviceAccount is a number, want a string"},
		"null":             {text: "null", err: shape + "it has no identities"},
		"misspelt":         {text: `{"identites":[{"namespace":"a","serviceAccount":"b"}]}`, err: shape + "it has no identities"},
		"no namespace":     {text: `{"identities":[{"namespace":"a","serviceAccount":"b"},{"ns":"a","serviceAccount":"b"}]}`, err: shape + "identities[1] has no namespace"},
		"no name":          {text: `{"identities":[{"namespace":"a","name":"b"}]}`, err: shape + "identities[0] has no serviceAccount"},
		"an empty one":     {text: `{"identities":[{"namespace":"a","serviceAccount":""}]}`, err: shape + "identities[0] has no serviceAccount"},
		"nothing in a row": {text: `{"identities":[null]}`, err: shape + "identities[0] has no namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			file := tc.file
			if file == "" {
				file = write(t, tc.text)
			}
			cfg := identity.Config{AWS: &aws.Config{ContainerCredentials: &aws.ContainerCredentials{File: file}}}
			cfg.SetDefaults()
			var logs bytes.Buffer
			mutator, err := identity.New(cfg, identity.Sources{ServiceAccounts: identitytest.Everyone{}, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
			if err != nil {
				want := "the configuration cannot be used: identity.aws.containerCredentials.file: " + strings.ReplaceAll(tc.err, "FILE", file)
				if diff := cmp.Diff(want, err.Error()); diff != "" || !errors.Is(err, config.ErrUnusable) {
					t.Errorf("error %v (-want +got):\n%s", err, diff)
				}
				if logs.Len() > 0 {
					t.Errorf("an error that is logged where it does not end:\n%s", &logs)
				}
				return
			}
			for range 2 {
				got := identitytest.Pass(t, mutator, []byte(`{"metadata":{},"spec":{"serviceAccountName":"reader"}}`))
				if has := len(got.Operations) > 0; has != tc.want || tc.err != "" {
					t.Errorf("has an identity: %t, want %t, and %q", has, tc.want, tc.err)
				}
			}
			for _, want := range strings.SplitAfter(strings.ReplaceAll(tc.logs, "FILE", file), " ") {
				if !strings.Contains(logs.String()+" ", strings.TrimSpace(want)) || strings.Count(logs.String(), "\n") != 1 {
					t.Errorf("want %s in the one line of the log:\n%s", tc.logs, &logs)
				}
			}
		})
	}
}

func FuzzPodIdentities(f *testing.F) {
	f.Add(everybody)
	f.Add("{\n\"identities\": [null")
	f.Add(`{"identities":[{"namespace":1}],"IDENTITIES":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		cfg := aws.Config{ContainerCredentials: &aws.ContainerCredentials{File: write(t, text)}}
		cfg.SetDefaults()
		_, err := aws.New(cfg, nil, slog.New(slog.DiscardHandler))
		if err != nil && (!errors.Is(err, config.ErrUnusable) || strings.Contains(err.Error(), "Go ")) {
			t.Error(err)
		}
	})
}
