package casetest

import (
	"time"

	"github.com/gatefold/gatefold/sdk/config"
)

// The states of a case.
const (
	Passed = "passed"
	Failed = "failed"
	// Broken means that the case could not be run; a problem says why.
	Broken = "broken"
)

// Result is what came of one case.
type Result struct {
	File string `json:"file"`
	// Line is where the case stands in the file.
	Line     int       `json:"line"`
	Name     string    `json:"name"`
	Status   string    `json:"status"`
	Failures []Failure `json:"failures,omitempty"`
	// Problem says why a broken case could not be run, each reason in a line.
	Problem string `json:"problem,omitempty"`
	// DurationMS is the time between the request and the answer, in milliseconds.
	DurationMS float64 `json:"durationMs"`
}

// Report is what came of a run.
type Report struct {
	// Files are those that were found, also those without a selected case.
	Files []string
	// Results are in the order of the files and the cases in them.
	Results []*Result
	// Problems are what cannot be understood. The cases of a file that has one are not run.
	Problems config.Problems
	// Notes say what is odd about the policies and requests, but wrong with nothing.
	Notes []string
	// Written are the golden files that were written.
	Written []string
	// Took is the time of the whole run.
	Took time.Duration
}

// Count returns how many cases have a status.
func (r *Report) Count(status string) int {
	n := 0
	for _, result := range r.Results {
		if result.Status == status {
			n++
		}
	}
	return n
}
