package leak

import (
	"os"
	"testing"
)

// recorder counts what a check finds.
type recorder struct {
	testing.TB
	found int
}

func (r *recorder) Errorf(string, ...any) { r.found++ }

func TestDescriptors(t *testing.T) {
	old, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	check := Descriptors(r)
	check()
	if r.found != 0 {
		t.Errorf("nothing was opened: %d found", r.found)
	}
	old.Close() // does not make up for the pipe
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if check(); r.found != 2 {
		t.Errorf("a pipe was opened: %d found", r.found)
	}
	in.Close()
	out.Close()
	if check(); r.found != 2 {
		t.Errorf("the pipe was closed: %d found", r.found)
	}
}
