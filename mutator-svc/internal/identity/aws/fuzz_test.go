package aws_test

import (
	"os"
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

func FuzzPatchApplies(f *testing.F) {
	pod, err := os.ReadFile("../pod/testdata/pod.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pod, "3600")
	for _, seed := range []string{
		`{"spec":{"serviceAccountName":"a","containers":[null,{"env":null}],"initContainers":[{"env":[],"volumeMounts":[{}]}],"volumes":[null]}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"name":"x"}]},"spec":{"serviceAccountName":"a"}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"env":[],"env":null}],"containers":[]}}`,
		`{"spec":null,"spec":{"serviceAccountName":"a","nodeSelector":{"kubernetes.io/os":"windows"}},"metadata":{"annotations":{"eks.amazonaws.com/skip-containers":"a,\"b"}}}`,
	} {
		f.Add([]byte(seed), "x")
	}
	f.Fuzz(func(t *testing.T, object []byte, expiration string) {
		cfg := identity.Config{AWS: &aws.Config{DefaultRegion: "eu-central-1", STSRegionalEndpoints: true}}
		sdktest.Settles(t, identitytest.New(t, cfg, identity.Sources{ServiceAccounts: identitytest.Everyone{
			"eks.amazonaws.com/role-arn":         "arn:aws:iam::111122223333:role/reader",
			"eks.amazonaws.com/token-expiration": expiration,
		}}), identitytest.Request(object))
	})
}
