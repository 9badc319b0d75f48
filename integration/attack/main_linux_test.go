package attack

import (
	"os"
	"testing"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// programs are the commands under test. TestMain builds them before any test.
var programs rig.Programs

func TestMain(m *testing.M) { os.Exit(rig.RunTests(m, &programs)) }

// newLab makes a lab for a test that runs the commands.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the commands, which are the same with and without -race; takes seconds")
	}
	t.TempDir() // is removed after the lab has ended the programs that write into it
	return lab.ForTest(t)
}
