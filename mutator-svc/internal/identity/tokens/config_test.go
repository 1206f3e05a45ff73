package tokens_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
)

func TestADenialIsABadRequest(t *testing.T) {
	mutator := identitytest.New(t, identity.Config{Tokens: &tokens.Config{}}, identity.Sources{
		ServiceAccounts: identitytest.Everyone{"identity.gatefold.dev/audience": ""},
	})
	denial := identitytest.Pass(t, mutator, []byte(`{"spec":{"serviceAccountName":"a"}}`)).Denial
	if denial.GetCode() != http.StatusBadRequest || denial.GetReason() != "BadRequest" {
		t.Errorf("denial %v, want 400 BadRequest", denial)
	}
}

func TestConfigIsValidated(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		want   []string // what each error says, by its beginning
	}{
		"nothing":                       {config: `{}`},
		"no limit but kube-apiserver's": {config: `{maxExpirationSeconds: 0, expirationSeconds: 4294967296}`},
		"everything": {config: `{annotationPrefix: a.b, mountPath: /a, volumeName: a, expirationSeconds: 600, maxExpirationSeconds: 600,
			allowedAudiences: [a, "b*", "*"], maxTokens: 1, missingServiceAccount: Deny, invalidValue: Allow}`},
		"everything wrong": {
			config: `{annotationPrefix: a/b, mountPath: a, volumeName: A, expirationSeconds: 599, allowedAudiences: [a, "", "a*b", "a**"],
				maxTokens: -1, invalidValue: Never}`,
			want: []string{
				`t.annotationPrefix: Invalid value: "a/b": write the domain before the annotations' slash, such as identity.example.com: `,
				`t.mountPath: Invalid value: "a": write the absolute path of a folder, without a colon or a dollar; it is converted for Windows pods`,
				`t.volumeName: Invalid value: "A": a lowercase RFC 1123 label `,
				`t.expirationSeconds: Invalid value: 599: write a number from 600 to 86400, which is the longest life that may be asked for`,
				`t.allowedAudiences[1]: Invalid value: "": write an audience, or how those that are allowed begin with one star at the end`,
				`t.allowedAudiences[2]: Invalid value: "a*b": `,
				`t.allowedAudiences[3]: Invalid value: "a**": `,
				`t.maxTokens: Invalid value: -1: write a number of 1 or more`,
				`t.invalidValue: Unsupported value: "Never"`,
			},
		},
		"a colon":              {`{mountPath: 'C:\a'}`, []string{`t.mountPath: `}},
		"a colon after all":    {`{mountPath: '/C:'}`, []string{`t.mountPath: `}},
		"a variable":           {`{mountPath: /$(A)}`, []string{`t.mountPath: `}},
		"a limit that is low":  {`{maxExpirationSeconds: 599}`, []string{`t.maxExpirationSeconds: Invalid value: 599: write a number from 600 to 4294967296, or 0`}},
		"a limit that is high": {`{maxExpirationSeconds: 4294967297}`, []string{`t.maxExpirationSeconds: `}},
		"a limit below zero":   {`{maxExpirationSeconds: -1}`, []string{`t.maxExpirationSeconds: `}},
		"a life beyond the limit": {`{maxExpirationSeconds: 1800}`, []string{
			`t.expirationSeconds: Invalid value: 3600: write a number from 600 to 1800, which is the longest life that may be asked for`,
		}},
		"a life beyond the default limit": {`{expirationSeconds: 86401}`, []string{`t.expirationSeconds: `}},
	} {
		t.Run(name, func(t *testing.T) {
			var cfg tokens.Config
			if err := yaml.UnmarshalStrict([]byte(tc.config), &cfg); err != nil {
				t.Fatal(err)
			}
			cfg.SetDefaults()
			var got []string
			for i, err := range cfg.Validate(field.NewPath("t")) {
				text := err.Error()
				if i < len(tc.want) && strings.HasPrefix(text, tc.want[i]) {
					text = tc.want[i]
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
