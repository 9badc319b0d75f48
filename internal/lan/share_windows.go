package lan

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// share lets other sockets have the port as well: each then gets a copy of every
// multicast datagram.
func share(_, _ string, raw syscall.RawConn) error {
	var err error
	fault := raw.Control(func(fd uintptr) {
		err = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1)
	})
	return errors.Join(fault, err)
}
