package casetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// library is the folder of the policies that are shipped.
const library = "../../../deploy/policies"

// TestLibrary runs the tests of the shipped policies, of which each must have some.
func TestLibrary(t *testing.T) {
	report, err := Run(t.Context(), Options{Paths: []string{library}})
	if err != nil {
		t.Fatal(err)
	}
	mustPass(t, report)
	readme, err := os.ReadFile("../../../README.md")
	if want := (Output{}).summary(report); err != nil || !strings.Contains(string(readme), "\n"+want) {
		t.Errorf("README.md, %v: want %q as what gatefold test prints", err, want)
	}
	policies, err := filepath.Glob(library + "/*.yaml")
	if err != nil || len(policies) < 6 {
		t.Fatalf("policies: %v, %v", policies, err)
	}
	for _, policy := range policies {
		name := strings.TrimSuffix(filepath.Base(policy), ".yaml")
		file := filepath.Join(library, "tests", name+"_test.yaml")
		cases := 0
		for _, result := range report.Results {
			if result.File == file {
				cases++
			}
		}
		if _, err := os.Stat(file); err != nil || cases == 0 {
			t.Errorf("%s has no tests in %s", name, file)
		}
	}
}

// BenchmarkRun runs the tests of the shipped policies, from the files to the report.
func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		if _, err := Run(b.Context(), Options{Paths: []string{library}}); err != nil {
			b.Fatal(err)
		}
	}
}
