package limit

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// What comes from a limit of the machine says so, however deep the reason is.
func TestAdvice(t *testing.T) {
	for errno, says := range map[syscall.Errno]string{
		syscall.EMFILE: "ulimit -n", syscall.ENFILE: "fs.file-max", syscall.ENOSPC: "disk is full", syscall.EDQUOT: "quota", syscall.EROFS: "read-only", syscall.ENOMEM: "memory",
	} {
		err := errors.Join(errors.New("first"), fmt.Errorf("cannot: %w", &fs.PathError{Op: "write", Path: "x", Err: errno}))
		if got := Advice(err); !strings.Contains(got, says) || !strings.HasSuffix(got, ". [E46]") {
			t.Errorf("%v: %q", errno, got)
		}
	}
	for _, err := range []error{nil, errors.New("another"), syscall.EPERM, syscall.ENOENT} {
		if got := Advice(err); got != "" {
			t.Errorf("%v: %q", err, got)
		}
	}
}

func TestFits(t *testing.T) {
	const mega = 1 << 20
	for _, tt := range []struct {
		most    uint64
		limited bool
		fits    bool
	}{{0, false, true}, {128 * mega, true, true}, {80 * mega, true, true}, {79 * mega, true, false}, {0, true, false}} {
		err := fits(80*mega, "the key", tt.most, tt.limited)
		if (err == nil) != tt.fits || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("may have %d:", tt.most/mega)) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
