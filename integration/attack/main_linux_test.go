package attack

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// programs are the commands under test. TestMain sets them before any test.
var programs rig.Programs

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the commands once, if any test can use them, into a folder that
// other users may enter: some tests run the commands without rights.
func run(m *testing.M) int {
	if lab.Available() != nil {
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
