// Package render draws for terminals: diffs with an author beside each line, and traces.
package render

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// Style says how to draw.
type Style struct {
	// Color lets the output contain ANSI colours.
	Color bool
	// Width is the number of columns to fill; 0 means 100.
	Width int
}

// The colours, as parameters of the ANSI sequence "select graphic rendition".
const (
	Bold   = "1"
	Dim    = "2"
	Red    = "31"
	Green  = "32"
	Yellow = "33"
	Blue   = "34"
	Purple = "35"
	Cyan   = "36"
)

// defaultWidth is used where nobody is known to look.
const defaultWidth = 100

// StyleFor returns the style for writing to w. mode is "always", "never" or "auto"; auto means colours
// on a terminal, unless the environment has NO_COLOR (https://no-color.org) or TERM=dumb.
func StyleFor(w io.Writer, mode string) Style {
	style := Style{Color: mode == "always", Width: defaultWidth}
	file, ok := w.(*os.File)
	if !ok || !IsTerminal(w) {
		return style
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		style.Width = width
	}
	if mode == "auto" {
		style.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return style
}

// IsTerminal tells whether somebody is looking at what is written to w.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Paint returns text in a colour, or as it is when the style has none.
func (s Style) Paint(color, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (s Style) width() int {
	if s.Width == 0 {
		return defaultWidth
	}
	return s.Width
}

// Clean makes text from elsewhere safe for a terminal: control characters, with which a message could
// redraw the screen, become spaces. Newlines stay.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return ' '
		}
		return r
	}, text)
}
