package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// Render fills in a template file with values, all of which must be there, and writes the result into a
// fresh file of dir. It returns the path.
func Render(file, dir string, values map[string]any) (string, error) {
	text, err := template.ParseFiles(file)
	if err != nil {
		return "", fmt.Errorf("rendering %s: %w", file, err)
	}
	var b bytes.Buffer
	if err := text.Option("missingkey=error").Execute(&b, values); err != nil {
		return "", fmt.Errorf("rendering %s: %w", file, err)
	}
	out, err := os.CreateTemp(dir, "*-"+filepath.Base(file))
	if err != nil {
		return "", fmt.Errorf("rendering %s: %w", file, err)
	}
	if err := os.WriteFile(out.Name(), b.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("rendering %s: %w", file, err)
	}
	return out.Name(), out.Close()
}
