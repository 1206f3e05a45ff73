package mutatorsvc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
)

const podIdentitiesText = `
apiVersion: gatefold.dev/v1alpha1
kind: MutatorConfig
identity: {aws: {containerCredentials: {file: mounted/identities.json}}}
`

// The list of EKS Pod Identities is followed however it is replaced, and the last good one stays in force.
func TestPodIdentitiesAreFollowed(t *testing.T) {
	const listed = `{"identities":[{"namespace":"team-a","serviceAccount":"reader"}]}`
	s := start(t, podIdentitiesText, fromObjects)
	folder := filepath.Join(filepath.Dir(s.file), "mounted")
	file := filepath.Join(folder, "identities.json")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// mount makes what kubelet makes of a ConfigMap: a link to a file behind a link that is swapped.
	mount := func(version, text string) {
		t.Helper()
		must(os.Mkdir(filepath.Join(folder, version), 0o700))
		must(os.WriteFile(filepath.Join(folder, version, "identities.json"), []byte(text), 0o600))
		must(os.Symlink(version, filepath.Join(folder, "..tmp")))
		must(os.Rename(filepath.Join(folder, "..tmp"), filepath.Join(folder, "..data")))
	}
	s.awaitPodIdentity(t, "no folder", false)
	must(os.Mkdir(folder, 0o700))
	for _, step := range []struct {
		what string
		do   func()
		want bool
		logs string
	}{
		{"written", func() { must(os.WriteFile(file, []byte(listed), 0o600)) }, true, ""},
		{"emptied", func() { must(os.WriteFile(file, nil, 0o600)) }, false, ""},
		{"renamed over", func() {
			must(os.WriteFile(file+".new", []byte(listed), 0o600))
			must(os.Rename(file+".new", file))
		}, true, ""},
		{"broken", func() { must(os.WriteFile(file, []byte("{"), 0o600)) }, true, "the last good one stays in force"},
		{"removed", func() { must(os.Remove(file)) }, false, ""},
		{"mounted", func() {
			mount("..1", listed)
			must(os.Symlink("..data/identities.json", file))
		}, true, ""},
		{"mounted anew", func() { mount("..2", `{"identities":[]}`) }, false, ""},
		{"mounted once more", func() { mount("..3", listed) }, true, ""},
	} {
		step.do()
		if step.logs != "" {
			eventually(t, step.what, func() bool { return s.logs.contain(step.logs) })
		}
		s.awaitPodIdentity(t, step.what, step.want)
	}
}

func (s *service) awaitPodIdentity(t *testing.T, what string, want bool) {
	t.Helper()
	eventually(t, what, func() bool {
		response, err := s.mutate(t, mutatorsvc.Identity)
		if err != nil {
			t.Fatal(err)
		}
		has := false
		for _, op := range response.GetOperations() {
			has = has || strings.Contains(string(op.GetValue()), "AWS_CONTAINER_CREDENTIALS_FULL_URI")
		}
		return has == want
	})
}
