package webhook

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	for query, want := range map[string]time.Duration{
		"1s":   250 * time.Millisecond,
		"2s":   750 * time.Millisecond,
		"3s":   1750 * time.Millisecond,
		"10s":  8750 * time.Millisecond,
		"30s":  28750 * time.Millisecond,
		"1h":   28750 * time.Millisecond,
		"":     8750 * time.Millisecond,
		"soon": 8750 * time.Millisecond,
		"-1s":  8750 * time.Millisecond,
		"10ms": 2500 * time.Microsecond,
	} {
		if got := budget(query); got != want {
			t.Errorf("budget(%q) is %s, want %s", query, got, want)
		}
	}
}
