package aws

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// readPodIdentities reads who has an EKS Pod Identity. Without a file, or with an empty one, nobody has:
// the agent that writes it may not have run yet.
func readPodIdentities(file string) (map[account]bool, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the EKS Pod Identities: %w", err)
	}
	identities, err := parsePodIdentities(text)
	if err != nil {
		return nil, fmt.Errorf("reading the EKS Pod Identities of %s: %w", file, err)
	}
	return identities, nil
}

// podIdentity is an entry of the file.
type podIdentity struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
}

func parsePodIdentities(text []byte) (map[account]bool, error) {
	var content struct {
		Identities []podIdentity `json:"identities"`
	}
	if err := json.Unmarshal(text, &content); err != nil {
		return nil, err
	}
	identities := map[account]bool{}
	for _, i := range content.Identities {
		identities[account{i.Namespace, i.ServiceAccount}] = true
	}
	return identities, nil
}
