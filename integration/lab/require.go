//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netns"
)

// Available says whether this process may build a lab: nil, or the reason why
// not. It makes a namespace and leaves it again.
func Available() error {
	result := make(chan error, 1)
	go func() {
		// The thread stays locked if it cannot return: it then ends here.
		runtime.LockOSThread()
		err := enterAndLeave()
		if err == nil || !errors.Is(err, errStuck) {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// errStuck is a thread that cannot return to the namespace it came from. This
// is so for the root of a user namespace that shares the network of its parent.
var errStuck = errors.New("cannot return to the first network namespace")

func enterAndLeave() error {
	origin, err := netns.Get()
	if err != nil {
		return err
	}
	defer origin.Close()
	fresh, err := netns.New()
	if err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	defer fresh.Close()
	if err := netns.Set(origin); err != nil {
		return fmt.Errorf("%w: %w", errStuck, err)
	}
	return nil
}

// Require skips the test where no lab can be built, and says why.
func Require(t testing.TB) {
	t.Helper()
	if err := Available(); err != nil {
		t.Skipf("needs root: run sudo make test (%v)", err)
	}
}

// Program returns where a program is, and skips the test where it is not installed. Its
// Debian package is named, as .ci/needs names all of them before the tests run.
func Program(t testing.TB, name, debian string) (path string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s: apt-get install %s", name, debian)
	}
	return path
}
