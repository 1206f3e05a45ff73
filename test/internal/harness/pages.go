package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Blocks returns the YAML blocks of a page of the documentation that begin with a comment, by that comment: what
// people are told to write is what the tests run.
func Blocks(page string) (map[string]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	if err != nil {
		return nil, fmt.Errorf("reading the blocks of a page: %w", err)
	}
	blocks := map[string]string{}
	for _, rest := range strings.Split(string(text), "\n```yaml\n# ")[1:] {
		title, block, _ := strings.Cut(rest, "\n")
		block, _, closed := strings.Cut(block, "\n```\n")
		if !closed {
			return nil, fmt.Errorf("%s: the block %q does not end", page, title)
		}
		blocks[title] = block + "\n"
	}
	return blocks, nil
}
