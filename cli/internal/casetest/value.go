package casetest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/gatefold/gatefold/cli/internal/blame"
	"github.com/gatefold/gatefold/cli/internal/tree"
)

// equal compares two values: members in any order, numbers by what they are, however large, and not by their text.
func equal(a, b *tree.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || len(a.Members) != len(b.Members) || len(a.Items) != len(b.Items) {
		return false
	}
	switch a.Kind {
	case tree.Object:
		return !slices.ContainsFunc(a.Members, func(m tree.Member) bool { return !equal(m.Value, b.Get(m.Name)) })
	case tree.Array:
		return slices.EqualFunc(a.Items, b.Items, equal)
	case tree.Literal:
		return number(a.Text) == number(b.Text)
	default:
		return a.Text == b.Text
	}
}

// number writes a JSON number as its digits without zeros at either end, and the power of ten behind them, so that
// 10, 10.0 and 1e1 are the same; other literals stay as they are.
func number(text string) string {
	mantissa, power, _ := strings.Cut(strings.ToLower(text), "e")
	exponent, err := strconv.ParseInt(cmp.Or(power, "0"), 10, 32)
	if err != nil || strings.Trim(mantissa, "-.0123456789") != "" {
		return text
	}
	digits, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent -= int64(len(fraction))
	digits = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(trimmed))
	switch {
	case trimmed == "":
		return "0"
	case negative:
		trimmed = "-" + trimmed
	}
	return trimmed + "e" + strconv.FormatInt(exponent, 10)
}

// diffContext is how many unchanged lines are shown around a change, as diff -u does.
const diffContext = 3

// diff shows as YAML what got has (+) and want does not (-), members in want's order.
func diff(want, got *tree.Node) (string, error) {
	got = got.Clone()
	got.Arrange(want)
	wanted, err := want.YAML()
	if err != nil {
		return "", err
	}
	came, err := got.YAML()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, hunk := range blame.Hunks(blame.Lines(wanted, blame.Version{Text: came}), diffContext) {
		if i > 0 {
			b.WriteString("...\n")
		}
		for _, line := range hunk.Lines {
			b.WriteString(strings.TrimRight(string(line.Op)+line.Text, " ") + "\n")
		}
	}
	return b.String(), nil
}
