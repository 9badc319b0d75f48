package lan

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// share lets other sockets have the port as well: each then gets a copy of every
// multicast datagram. The socket gets only the groups that it has joined itself;
// by default Linux gives it the groups of every process of the host.
func share(network, _ string, raw syscall.RawConn) error {
	level, all := unix.IPPROTO_IP, unix.IP_MULTICAST_ALL
	if network == "udp6" {
		level, all = unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL
	}
	var err error
	fault := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		// Kernels before 4.20 do not have it for IPv6. accept checks the
		// interface as well.
		_ = unix.SetsockoptInt(int(fd), level, all, 0)
	})
	return errors.Join(fault, err)
}
