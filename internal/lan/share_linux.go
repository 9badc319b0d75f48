package lan

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// share lets others have the port as well: each then gets a copy of what comes
// by multicast. The socket gets only what it has joined itself; by default Linux
// gives it what any process of the host has joined.
func share(network, _ string, raw syscall.RawConn) error {
	level, all := unix.IPPROTO_IP, unix.IP_MULTICAST_ALL
	if network == "udp6" {
		level, all = unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL
	}
	var err error
	fault := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		// Kernels before 4.20 do not know it for IPv6. The interface is checked
		// besides.
		_ = unix.SetsockoptInt(int(fd), level, all, 0)
	})
	return errors.Join(fault, err)
}
