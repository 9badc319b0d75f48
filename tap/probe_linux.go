package tap

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// openStep is where an open failed; the same errno means different things.
type openStep uint8

const (
	stepNode   openStep = iota // open(2) of the device node
	stepAttach                 // TUNSETIFF and what follows it
)

// openFault is a refused open before it is put into words.
type openFault struct {
	step  openStep
	node  string
	errno syscall.Errno
}

// Error is for the debugger; people read the sentence of an OpenError.
func (f *openFault) Error() string { return fmt.Sprintf("%s: %v", f.node, f.errno) }

// probe asks the kernel whether water's open would succeed, on a descriptor that
// it closes whatever the answer: water leaks one on every failure. Water's open
// can then still fail in a race with another program, once per call of Open.
//
// An interface that exists is attached and detached. For one that does not,
// TUNSETIFF is called with neither IFF_TUN nor IFF_TAP: tun_set_iff checks
// CAP_NET_ADMIN first and the kind of device next, so EINVAL means "allowed",
// and no interface flashes up.
func probe(node, name string, exists, multi bool) error {
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &openFault{step: stepNode, node: node, errno: errnoOf(err)}
	}
	defer unix.Close(fd)
	flags := uint16(unix.IFF_NO_PI)
	if exists {
		flags |= unix.IFF_TAP
	}
	if multi {
		flags |= unix.IFF_MULTI_QUEUE
	}
	errno := setInterface(fd, name, flags)
	if errno == 0 || (!exists && errno == unix.EINVAL) {
		return nil
	}
	return &openFault{step: stepAttach, node: node, errno: errno}
}

// setInterface is TUNSETIFF.
func setInterface(fd int, name string, flags uint16) syscall.Errno {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return unix.EINVAL
	}
	ifr.SetUint16(flags)
	return errnoIn(unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr))
}

// attached asks whether the descriptor still has an interface (TUNGETIFF).
func attached(fd int) bool {
	ifr, err := unix.NewIfreq("x") // the kernel fills in the name
	if err != nil {
		return false
	}
	return unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr) == nil
}

// errnoIn is errnoOf for an error that may be nil: 0.
func errnoIn(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	return errnoOf(err)
}

// errnoOf returns the errno in a wrapped error, or EIO if there is none.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}
