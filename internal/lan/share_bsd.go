//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package lan

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// share lets other sockets have the port as well: each then gets a copy of every
// multicast datagram. Some of these systems want the one option, some the other.
func share(_, _ string, raw syscall.RawConn) error {
	var err error
	fault := raw.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		)
	})
	return errors.Join(fault, err)
}
