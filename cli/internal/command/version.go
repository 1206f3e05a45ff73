package command

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		GroupID: "use",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(s.Out, s.version())
			return ended(err)
		},
	}
}

// version is the line of version and --version.
func (s Streams) version() string {
	return fmt.Sprintf("gatefold %s %s %s/%s\n", s.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
