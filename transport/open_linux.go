package transport

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ListenUDP opens a socket on every address of this host, or on the one of
// Options.Address, on a port of the system's choice when port is 0. It serves IPv4 and
// IPv6, or IPv4 alone on a host without IPv6. On Linux the kernel neither fragments nor
// applies a path MTU of its own (IP_MTU_DISCOVER and IPV6_MTU_DISCOVER are PROBE, ip(7)):
// the caller has to find the path MTU. Elsewhere the system's default stays.
//
// When another socket has the port the error is an *InUseError.
func ListenUDP(port uint16, opts Options) (*UDP, error) {
	opts = opts.withDefaults()
	family := unix.AF_INET6
	if opts.Address.Is4() {
		family = unix.AF_INET
	}
	u, err := listenAlone(family, port, opts)
	if err != nil && opts.every() && noIPv6(err) {
		u, err = listenAlone(unix.AF_INET, port, opts)
	}
	if err != nil {
		return nil, opts.listenError(port, err)
	}
	return u, nil
}

// listenAlone opens one socket that has its port to itself.
func listenAlone(family int, port uint16, opts Options) (*UDP, error) {
	fd, err := openSocket(family, opts)
	if err != nil {
		return nil, err
	}
	if err := bind(fd, family, port, opts.Address); err != nil {
		unix.Close(fd)
		return nil, err
	}
	u, err := newUDP(fd, family == unix.AF_INET, opts, &notices{log: opts.Log})
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return u, nil
}

// openSocket makes a socket of a family and sets the options that have to be set
// before bind. An AF_INET6 socket serves both families.
func openSocket(family int, opts Options) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := setSocket(fd, family, opts); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// setSocket sets path MTU discovery to PROBE for both families, the mark and the
// buffers. An IPv4 datagram on a dual-stack socket follows the IPv4 option.
func setSocket(fd, family int, opts Options) error {
	if err := setPMTU(fd, family); err != nil {
		return err
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return fmt.Errorf("IPV6_V6ONLY: %w", err)
		}
	}
	setBuffers(fd, opts)
	return opts.Binding.set(fd)
}

// setPMTU sets path MTU discovery to PROBE for the families of a socket.
func setPMTU(fd, family int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE); err != nil {
		return fmt.Errorf("IP_MTU_DISCOVER: %w", err)
	}
	if family != unix.AF_INET6 {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE); err != nil {
		return fmt.Errorf("IPV6_MTU_DISCOVER: %w", err)
	}
	return nil
}

// setBuffers sets the buffers past the kernel's caps, which CAP_NET_ADMIN
// allows; without it the capped ones stay. That even those are refused is no
// reason not to run.
func setBuffers(fd int, opts Options) {
	for _, b := range []struct{ name, force, size int }{
		{unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, opts.RecvBuffer},
		{unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, opts.SendBuffer},
	} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.force, b.size) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.name, b.size)
		}
	}
}

// bind binds the socket to the port on an address of its family, or on every address if
// that is none.
func bind(fd, family int, port uint16, address netip.Addr) error {
	all := netip.IPv6Unspecified()
	if family == unix.AF_INET {
		all = netip.IPv4Unspecified()
	}
	if !address.IsValid() || address.Is4() != all.Is4() {
		address = all
	}
	var to unix.Sockaddr
	if family == unix.AF_INET {
		to = &unix.SockaddrInet4{Port: int(port), Addr: address.As4()}
	} else {
		zone, err := zoneIndex(address.Zone())
		if err != nil {
			return err
		}
		to = &unix.SockaddrInet6{Port: int(port), Addr: address.As16(), ZoneId: zone}
	}
	if err := unix.Bind(fd, to); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// addressInUse is for systems with errnos of their own.
func addressInUse(error) bool { return false }

// zoneIndex returns the index of the interface that a zone names; 0 for no zone.
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("zone %s: %w", zone, err)
	}
	return uint32(i.Index), nil
}
