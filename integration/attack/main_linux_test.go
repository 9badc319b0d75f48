package attack

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// programs are the commands under test. TestMain sets them before any test.
var programs rig.Programs

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the commands once, if any test can use them, into a folder that
// other users may enter: some tests run the commands without rights.
func run(m *testing.M) int {
	if testing.Short() || lab.Available() != nil {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "attack-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		programs, err = rig.Build(ctx, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// newLab makes a lab for a test that runs the commands.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the commands, which are the same with and without -race; takes seconds")
	}
	return lab.ForTest(t)
}
