package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestCodeOf(t *testing.T) {
	var both Faults
	both.Addf("first")
	both.Add(Errorf(Permission, "E02", "second"))
	both.Add(nil)
	for _, tt := range []struct {
		err  error
		want Code
	}{
		{nil, OK},
		{errors.New("anything"), Failure},
		{Errorf(Refused, "E11", "taken"), Refused},
		{fmt.Errorf("wrapped: %w", Errorf(Temporary, "", "later")), Temporary},
		{both.Err(), Permission},
		{new(Faults).Err(), OK},
	} {
		if got := CodeOf(tt.err); got != tt.want {
			t.Errorf("CodeOf(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
	if err := Errorf(Failure, "", "open: %w", fs.ErrPermission); !errors.Is(err, fs.ErrPermission) {
		t.Error("the cause is lost")
	}
}

func TestPrint(t *testing.T) {
	var both Faults
	both.Addf("no key")
	both.Addf("no supernode")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{Errorf(Permission, "E02", "not allowed."), "edge: not allowed. [E02]\n"},
		{both.Err(), "edge: no key\nedge: no supernode\nTry 'edge --help'.\n"},
	} {
		var b strings.Builder
		Print(&b, "edge", tt.err)
		if b.String() != tt.want {
			t.Errorf("Print(%v) = %q, want %q", tt.err, b.String(), tt.want)
		}
	}
}
