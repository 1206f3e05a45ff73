package aws

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/gatefold/gatefold/sdk/config"
)

// fileField is where the configuration names the list of EKS Pod Identities.
const fileField = "identity.aws.containerCredentials.file"

// readPodIdentities reads who has an EKS Pod Identity, and tells logger how many. Without a file, or with an
// empty one, nobody has: the agent that writes it may not have run yet. The error names the field of the
// configuration, and wraps config.ErrUnusable.
func readPodIdentities(file string, logger *slog.Logger) (map[account]bool, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		logger.Warn("no list of EKS Pod Identities: no ServiceAccount has one until there is a file", "file", file)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", config.ErrUnusable, fileField, err)
	}
	identities, err := parsePodIdentities(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %s: %w", config.ErrUnusable, fileField, file, err)
	}
	logger.Info("list of EKS Pod Identities read", "file", file, "service_accounts", len(identities))
	return identities, nil
}

// podIdentity is an entry of the file.
type podIdentity struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
}

// parsePodIdentities reads the text of the file. Fields that nobody knows may be there, but not instead of
// those that matter: they are likely misspelt.
func parsePodIdentities(text []byte) (map[account]bool, error) {
	if len(text) == 0 {
		return nil, nil
	}
	const shape = `not {"identities": [{"namespace": …, "serviceAccount": …}]}`
	var content struct {
		Identities []podIdentity `json:"identities"`
	}
	fields := map[string]json.RawMessage{}
	err := json.Unmarshal(text, &fields)
	if err == nil {
		err = json.Unmarshal(text, &content)
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil, fmt.Errorf("%s: %s", shape, explain(err, text))
	}
	if err != nil {
		return nil, fmt.Errorf("not the JSON of a list of identities: %s", explain(err, text))
	}
	if !listed(fields) {
		return nil, fmt.Errorf("%s: it has no identities", shape)
	}
	identities := map[account]bool{}
	for i, one := range content.Identities {
		switch {
		case one.Namespace == "":
			return nil, fmt.Errorf("%s: identities[%d] has no namespace", shape, i)
		case one.ServiceAccount == "":
			return nil, fmt.Errorf("%s: identities[%d] has no serviceAccount", shape, i)
		}
		identities[account{one.Namespace, one.ServiceAccount}] = true
	}
	return identities, nil
}

// listed tells whether there is a list among the fields of the file, or nothing at all in it, which is as
// much as an empty list. No fields, nil, are those of a null. Decoding does not mind the case of a field.
func listed(fields map[string]json.RawMessage) bool {
	for name := range fields {
		if strings.EqualFold(name, "identities") {
			return true
		}
	}
	return fields != nil && len(fields) == 0
}
