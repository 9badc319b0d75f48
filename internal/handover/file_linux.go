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

// Text returns a file in memory with some bytes, for what a successor has to know before it
// gets the state. It is read from its beginning.
func Text(name string, b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hand over %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(b, 0); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("hand over %s: %w", name, err)
	}
	return f, nil
}
