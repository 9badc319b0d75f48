package transport

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setOptions sets what must be set before the socket is bound.
func setOptions(network string, raw syscall.RawConn, opts Options) error {
	var fault error
	err := raw.Control(func(fd uintptr) { fault = setSocket(int(fd), network, opts) })
	return errors.Join(err, fault)
}

// setSocket sets path MTU discovery to PROBE for both families and the mark. An
// IPv4 datagram on a dual-stack socket follows the IPv4 option.
func setSocket(fd int, network string, opts Options) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE); err != nil {
		return fmt.Errorf("IP_MTU_DISCOVER: %w", err)
	}
	if network != "udp4" {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE); err != nil {
			return fmt.Errorf("IPV6_MTU_DISCOVER: %w", err)
		}
	}
	if opts.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(opts.Mark)); err != nil {
			return fmt.Errorf("mark %d (needs CAP_NET_ADMIN): %w", opts.Mark, err)
		}
	}
	return nil
}

// forceBuffers sets the buffers past the kernel's caps, which CAP_NET_ADMIN
// allows; without it the capped ones stay.
func forceBuffers(conn *net.UDPConn, opts Options) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, opts.RecvBuffer)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, opts.SendBuffer)
	})
}

// newTTLs makes the control message {IPPROTO_IP, IP_TTL, int} for every TTL. It
// sets the TTL of one datagram (ip(7)), on IPv4 sockets and for IPv4 datagrams
// on dual-stack ones; the socket option would change those of other goroutines.
func newTTLs() *[256][]byte {
	const size = int(unsafe.Sizeof(int32(0)))
	space := unix.CmsgSpace(size)
	backing := make([]byte, 256*space)
	ttls := new([256][]byte)
	for ttl := range ttls {
		m := backing[ttl*space : (ttl+1)*space : (ttl+1)*space]
		h := (*unix.Cmsghdr)(unsafe.Pointer(&m[0]))
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_TTL
		h.SetLen(unix.CmsgLen(size))
		*(*int32)(unsafe.Pointer(&m[unix.CmsgLen(0)])) = int32(ttl)
		ttls[ttl] = m
	}
	return ttls
}

// passing recognises errors that concern one datagram sent earlier, or a moment
// without memory, and not the socket.
func passing(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case unix.ECONNREFUSED, unix.ECONNRESET, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN,
		unix.ENOPROTOOPT, unix.EPROTO, unix.EMSGSIZE, unix.EACCES, unix.ETIMEDOUT,
		unix.ENOBUFS, unix.ENOMEM, unix.EINTR, unix.EAGAIN:
		return true
	}
	return false
}

// addressInUse is for systems with errnos of their own.
func addressInUse(error) bool { return false }
