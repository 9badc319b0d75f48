//go:build !linux && !windows

package transport

import (
	"errors"
	"syscall"
)

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
