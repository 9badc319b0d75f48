package localapi

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// userOf returns the user of the process at the other end (SO_PEERCRED, unix(7)).
func userOf(c net.Conn) (uid int, ok bool) {
	with, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := with.SyscallConn()
	if err != nil {
		return 0, false
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || failed != nil {
		return 0, false
	}
	return int(peer.Uid), true
}
