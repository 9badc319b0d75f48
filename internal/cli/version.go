package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// Release is the version of this tree.
const Release = "0.1.0"

// Build describes the running program, as "version --json" prints it.
type Build struct {
	// Version is the release, "0.1.0".
	Version string `json:"version"`
	// Protocol is the version of the wire protocol.
	Protocol int `json:"protocol"`
	// Revision is the commit that the program was built from, with "+dirty"
	// behind it for a changed tree, or empty when the build did not say.
	Revision string `json:"revision,omitempty"`
	// Go is the version of the Go toolchain.
	Go string `json:"go"`
	// Platform is the operating system and the processor, "linux/amd64".
	Platform string `json:"platform"`
}

// BuildOf returns the description of the running program, which speaks the
// given version of the wire protocol.
func BuildOf(protocol int) Build {
	b := Build{Version: Release, Protocol: protocol, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	var dirty bool
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if b.Revision != "" && dirty {
		b.Revision += "+dirty"
	}
	return b
}

// VersionCommand is "PROGRAM version [--json]" of a program that speaks the given
// version of the wire protocol.
func VersionCommand(protocol int) *cli.Command {
	return &cli.Command{Name: "version", Usage: "print the version", Flags: []cli.Flag{JSONFlag()}, Action: func(c *cli.Context) error {
		b := BuildOf(protocol)
		if Bool(c, "json") {
			return PrintJSON(c.App.Writer, b)
		}
		text := fmt.Sprintf("%s %s, protocol %d, %s, %s", c.App.Name, b.Version, b.Protocol, b.Go, b.Platform)
		if b.Revision != "" {
			text += ", revision " + b.Revision
		}
		_, err := fmt.Fprintln(c.App.Writer, text)
		return err
	}}
}
