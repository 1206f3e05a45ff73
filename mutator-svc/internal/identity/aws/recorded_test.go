package aws_test

import (
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
)

// The reference webhook's answers are the specification: the same pods must come out.
func TestRecordedAnswersOfTheReference(t *testing.T) { identitytest.Replay(t, "aws", 60) }
