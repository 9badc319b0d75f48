package transport

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// File returns a descriptor of the socket, for another process that is to use it after
// this one: AdoptUDP makes a UDP of it there. It stays open when the UDP is closed.
func (u *UDP) File() (*os.File, error) {
	if !u.enter() {
		return nil, os.ErrClosed
	}
	defer u.leave()
	fd, err := unix.FcntlInt(uintptr(u.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("copy the descriptor of the UDP socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "udp"), nil
}

// AdoptUDP returns a UDP over a bound UDP socket that another process has opened: one that
// runs before this one, or the system's service manager. The file is not used any more
// afterwards; it may be closed.
func AdoptUDP(f *os.File, opts Options) (*UDP, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("copy the descriptor of the UDP socket: %w", err)
	}
	u, err := adopt(fd, opts.withDefaults())
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("use a UDP socket that is open: %w", err)
	}
	return u, nil
}

// Guard returns a descriptor of the socket that keeps others from the port of a group, for
// AdoptUDPGroup; nil: the socket is alone.
func (u *UDP) Guard() (*os.File, error) {
	if u.guard == nil {
		return nil, nil
	}
	if !u.enter() {
		return nil, os.ErrClosed
	}
	defer u.leave()
	fd, err := unix.FcntlInt(uintptr(u.guard.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("copy the descriptor of the guard of a port: %w", err)
	}
	return os.NewFile(uintptr(fd), "guard"), nil
}

// AdoptUDPGroup is AdoptUDP for the sockets of a group, with its guard; that is nil for one
// socket alone.
func AdoptUDPGroup(files []*os.File, keeper *os.File, opts Options) (group []*UDP, err error) {
	var g *guard
	if keeper != nil {
		fd, err := unix.FcntlInt(keeper.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("copy the descriptor of the guard of a port: %w", err)
		}
		g = &guard{fd: fd}
		g.users.Store(1)
		defer func() { err = errors.Join(err, g.release()) }()
	}
	for _, f := range files {
		u, err := AdoptUDP(f, opts)
		if err != nil {
			for _, u := range group {
				_ = u.Close()
			}
			return nil, err
		}
		if u.guard = g; g != nil {
			g.users.Add(1)
		}
		group = append(group, u)
	}
	return group, nil
}

// adopt is newUDP for a socket that may have been set up by somebody else.
func adopt(fd int, opts Options) (*UDP, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, err
	}
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return nil, err
	}
	if kind != unix.SOCK_DGRAM || family != unix.AF_INET && family != unix.AF_INET6 {
		return nil, fmt.Errorf("it is of type %d and family %d: %w", kind, family, unix.EINVAL)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	if err := setPMTU(fd, family); err != nil {
		return nil, err
	}
	setBuffers(fd, opts)
	return newUDP(fd, family == unix.AF_INET, opts, &notices{log: opts.Log})
}
