package transport

import (
	"errors"

	"golang.org/x/sys/windows"
)

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

// addressInUse recognises the Windows error number for a port that is in use.
func addressInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }
