package aws_test

import (
	"strconv"
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
)

func TestCases(t *testing.T) { identitytest.Cases(t, "aws") }

// The reference webhook's answers are the specification: the same pods must come out.
func TestRecordedAnswersOfTheReference(t *testing.T) { identitytest.Replay(t, 60, configure) }

// configure reads the reference's command line.
func configure(t *testing.T, r *identitytest.Recording) identity.Config {
	cfg := &aws.Config{}
	cfg.DefaultRegion, _ = r.Flag("--aws-default-region")
	cfg.MountPath, _ = r.Flag("--token-mount-path")
	cfg.AnnotationPrefix, _ = r.Flag("--annotation-prefix")
	if regional, ok := r.Flag("--sts-regional-endpoint"); ok {
		cfg.STSRegionalEndpoints = regional == "true"
	}
	if audience, ok := r.Flag("--token-audience"); ok {
		cfg.Audience = &audience
	}
	if text, ok := r.Flag("--token-expiration"); ok {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		cfg.TokenExpirationSeconds = &seconds
	}
	return identity.Config{AWS: cfg}
}
