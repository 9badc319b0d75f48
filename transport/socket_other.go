//go:build !linux && !windows

package transport

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// setOptions refuses what only Linux has; path MTU discovery stays as the system
// has it.
func setOptions(_ string, _ syscall.RawConn, opts Options) error {
	if opts.Mark != 0 {
		return fmt.Errorf("a firewall mark: %w", errors.ErrUnsupported)
	}
	return nil
}

// forceBuffers has nothing to add to SetReadBuffer and SetWriteBuffer.
func forceBuffers(*net.UDPConn, Options) {}

// newTTLs returns nothing: a TTL per datagram is set on Linux only.
func newTTLs() *[256][]byte { return nil }

// passing recognises errors that concern one datagram sent earlier, or a moment
// without memory, and not the socket.
func passing(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EMSGSIZE, syscall.EACCES, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// addressInUse is for systems with errnos of their own.
func addressInUse(error) bool { return false }
