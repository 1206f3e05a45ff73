package harness

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Metrics reads what a program tells Prometheus: for each name the sum over all labels.
func Metrics(ctx context.Context, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	sums := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		// A label's value may hold spaces, the number never does.
		at := strings.LastIndexByte(lines.Text(), ' ')
		name, _, _ := strings.Cut(lines.Text()[:max(at, 0)], "{")
		value, err := strconv.ParseFloat(lines.Text()[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("reading metrics of %s: %q: %w", url, lines.Text(), err)
		}
		sums[name] += value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading metrics of %s: %w", url, err)
	}
	return sums, nil
}
