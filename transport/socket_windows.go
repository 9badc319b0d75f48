package transport

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/windows"
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

// passing recognises errors that concern one datagram: Windows reports the
// closed port of an earlier datagram (WSAECONNRESET) and a datagram longer than
// the buffer (WSAEMSGSIZE) on reads.
func passing(err error) bool {
	for _, errno := range []windows.Errno{windows.WSAECONNRESET, windows.WSAENETRESET, windows.WSAECONNREFUSED,
		windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEMSGSIZE, windows.WSAENOBUFS, windows.WSAEINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// addressInUse recognises Windows' number for a taken port.
func addressInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }
