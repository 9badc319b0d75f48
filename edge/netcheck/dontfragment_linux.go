package netcheck

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// openWhole opens a socket whose datagrams carry "don't fragment", and which
// ignores the path MTU that the kernel has learned (ip(7), IP_PMTUDISC_PROBE):
// any host may have forged it.
func openWhole(network string) (Conn, error) {
	return listen(network, func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) {
			if network == "udp4" {
				set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
			} else {
				set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
			}
		})
		return errors.Join(err, set)
	})
}
