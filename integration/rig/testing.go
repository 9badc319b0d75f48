//go:build linux

package rig

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"hedgerow/integration/lab"
)

// buildTime bounds the building of the commands.
const buildTime = 3 * time.Minute

// RunTests is the TestMain of a package whose tests run the commands: it builds
// them first, if any test can use them, into a folder that other users may enter,
// since some run without rights. It returns the exit code.
func RunTests(m *testing.M, p *Programs) int {
	flag.Parse()
	if testing.Short() || lab.Available() != nil {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "hedgerow-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), buildTime)
		defer cancel()
		*p, err = Build(ctx, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
