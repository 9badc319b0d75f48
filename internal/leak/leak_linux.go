// Package leak helps tests to say that what was opened is closed again.
package leak

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Descriptors notes the descriptors that this process has open. The function it
// returns fails the test for each that was opened since and is open still.
//
// It compares the descriptors and not their number, which may fall meanwhile: the
// garbage collector closes files that somebody else forgot.
func Descriptors(t testing.TB) (check func()) {
	t.Helper()
	if in, out, err := os.Pipe(); err == nil { // the first makes the runtime's poller, which stays
		in.Close()
		out.Close()
	}
	before := descriptors(t)
	return func() {
		t.Helper()
		for fd := range descriptors(t) {
			if !before[fd] {
				t.Errorf("descriptor %v was opened and not closed", fd)
			}
		}
	}
}

// A descriptor is an open descriptor, as /proc shows it.
type descriptor struct {
	number string
	file   string // what it stands for
}

func (d descriptor) String() string { return fmt.Sprintf("%s (%s)", d.number, d.file) }

func descriptors(t testing.TB) map[descriptor]bool {
	t.Helper()
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	open := make(map[descriptor]bool)
	for _, e := range entries {
		file, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil { // not the directory's own, which is closed by now
			open[descriptor{e.Name(), file}] = true
		}
	}
	return open
}
