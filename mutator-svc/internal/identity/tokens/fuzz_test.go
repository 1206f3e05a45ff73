package tokens_test

import (
	"os"
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

func FuzzPatchApplies(f *testing.F) {
	pod, err := os.ReadFile("../pod/testdata/pod.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pod, "vault.path", "a/b")
	for _, seed := range []string{
		`{"spec":{"serviceAccountName":"a","containers":[null,{"env":null}],"initContainers":[{"env":[],"volumeMounts":[{}]}],"volumes":[null]}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"name":"x"}]},"spec":{"serviceAccountName":"a"}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"env":[],"env":null}],"containers":[]}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"volumeMounts":[{"name":"gatefold-tokens","mountPath":"/x"}]}],
			"volumes":[{"name":"gatefold-tokens","projected":{"sources":[{"serviceAccountToken":{"audience":"vault","expirationSeconds":3600,"path":"vault"}}]}}]}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"volumeMounts":[{"name":"x","mountPath":"/var/run/secrets/identity.gatefold.dev/"}]}]}}`,
		`{"spec":null,"spec":{"serviceAccountName":"a","nodeSelector":{"kubernetes.io/os":"windows"},"containers":[{}]},
			"metadata":{"annotations":{"identity.gatefold.dev/skip-containers":"a, b","identity.gatefold.dev/audience":"\u00e9"}}}`,
	} {
		f.Add([]byte(seed), "vault.env", "VAULT")
		f.Add([]byte(seed), "audience", "\xff")
	}
	f.Fuzz(func(t *testing.T, object []byte, key, text string) {
		cfg := identity.Config{Tokens: &tokens.Config{}}
		cfg.Tokens.InvalidValue = profile.Warn // so that what is right beside what is wrong is given
		sdktest.Settles(t, identitytest.New(t, cfg, identity.Sources{ServiceAccounts: identitytest.Everyone{
			"identity.gatefold.dev/vault.audience": "vault",
			"identity.gatefold.dev/vault.env":      "VAULT_TOKEN_FILE",
			"identity.gatefold.dev/" + key:         text,
		}}), identitytest.Request(object))
	})
}
