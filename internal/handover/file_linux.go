package handover

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Copy returns another descriptor of a connection, listener or file, to be handed over. It
// leaves the first one as it is; File of package net would make it block.
func Copy(of syscall.Conn, name string) (*os.File, error) {
	raw, err := of.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("hand over %s: %w", name, err)
	}
	var fd int
	var failed error
	err = raw.Control(func(from uintptr) { fd, failed = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("hand over %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
