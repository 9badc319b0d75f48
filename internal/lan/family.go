package lan

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// tellsArrival reports whether the system tells by which interface, to which
// address and with which hop limit a datagram came. golang.org/x/net cannot ask
// Windows for it.
const tellsArrival = runtime.GOOS != "windows"

// A family is the group of one address family with its sockets. It receives on
// the port of the group, which all members share, and sends from a port of its
// own, so that a member can distinguish its own packets from those of another
// member on its host.
type family struct {
	in, out     *net.UDPConn
	group       netip.AddrPort
	hear, speak multicaster // of in and out
	read        func(buf []byte) (arrival, error)
}

// multicaster is the common part of the types of golang.org/x/net/ipv4 and ipv6.
type multicaster interface {
	JoinGroup(on *net.Interface, group net.Addr) error
	LeaveGroup(on *net.Interface, group net.Addr) error
	SetMulticastInterface(on *net.Interface) error
}

// An arrival is a datagram in the reader's buffer.
type arrival struct {
	n       int // bytes
	from    netip.AddrPort
	to      netip.Addr
	ifindex int // index of the interface
	hops    int
}

func openFamily4(group netip.AddrPort) (*family, error) {
	f, err := openFamily("udp4", netip.IPv4Unspecified(), group)
	if err != nil {
		return nil, err
	}
	hear, speak := ipv4.NewPacketConn(f.in), ipv4.NewPacketConn(f.out)
	f.hear, f.speak = hear, speak
	err = errors.Join(speak.SetMulticastTTL(hopLimit), speak.SetMulticastLoopback(true))
	if tellsArrival {
		err = errors.Join(err, hear.SetControlMessage(ipv4.FlagTTL|ipv4.FlagDst|ipv4.FlagInterface, true))
	}
	if err != nil {
		_ = f.close()
		return nil, err
	}
	f.read = func(buf []byte) (arrival, error) {
		n, cm, from, err := hear.ReadFrom(buf)
		if err != nil || cm == nil {
			return newArrival(n, from, nil, 0, 0), err
		}
		return newArrival(n, from, cm.Dst.To4(), cm.IfIndex, cm.TTL), nil
	}
	return f, nil
}

func openFamily6(group netip.AddrPort) (*family, error) {
	f, err := openFamily("udp6", netip.IPv6Unspecified(), group)
	if err != nil {
		return nil, err
	}
	hear, speak := ipv6.NewPacketConn(f.in), ipv6.NewPacketConn(f.out)
	f.hear, f.speak = hear, speak
	err = errors.Join(speak.SetMulticastHopLimit(hopLimit), speak.SetMulticastLoopback(true))
	if tellsArrival {
		err = errors.Join(err, hear.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagDst|ipv6.FlagInterface, true))
	}
	if err != nil {
		_ = f.close()
		return nil, err
	}
	f.read = func(buf []byte) (arrival, error) {
		n, cm, from, err := hear.ReadFrom(buf)
		if err != nil || cm == nil {
			return newArrival(n, from, nil, 0, 0), err
		}
		return newArrival(n, from, cm.Dst.To16(), cm.IfIndex, cm.HopLimit), nil
	}
	return f, nil
}

// openFamily opens both sockets. The wildcard address is the one that all
// systems deliver multicast to.
func openFamily(network string, wildcard netip.Addr, group netip.AddrPort) (*family, error) {
	shared := net.ListenConfig{Control: share}
	in, err := shared.ListenPacket(context.Background(), network, netip.AddrPortFrom(wildcard, group.Port()).String())
	if err != nil {
		return nil, err
	}
	out, err := net.ListenPacket(network, netip.AddrPortFrom(wildcard, 0).String())
	if err != nil {
		_ = in.Close()
		return nil, err
	}
	// "udp" networks are documented to return this type.
	return &family{in: in.(*net.UDPConn), out: out.(*net.UDPConn), group: group}, nil
}

func newArrival(n int, from net.Addr, to net.IP, ifindex, hops int) arrival {
	a := arrival{n: n, ifindex: ifindex, hops: hops}
	if from, ok := from.(*net.UDPAddr); ok {
		a.from = from.AddrPort()
	}
	a.to, _ = netip.AddrFromSlice(to)
	return a
}

func (f *family) is4() bool { return f.group.Addr().Is4() }

// port is the one that packets are sent from.
func (f *family) port() uint16 { return f.out.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func (f *family) join(on *net.Interface) error { return f.hear.JoinGroup(on, f.address()) }

func (f *family) leave(on *net.Interface) error { return f.hear.LeaveGroup(on, f.address()) }

// address is the group as golang.org/x/net wants it.
func (f *family) address() *net.UDPAddr { return &net.UDPAddr{IP: f.group.Addr().AsSlice()} }

func (f *family) send(on *net.Interface, pkt []byte) error {
	// The socket option replaces a zone in the address.
	if err := f.speak.SetMulticastInterface(on); err != nil {
		return err
	}
	_, err := f.out.WriteToUDPAddrPort(pkt, f.group)
	return err
}

// interrupt ends a read that runs, and all that follow.
func (f *family) interrupt() { _ = f.in.SetReadDeadline(time.Unix(1, 0)) }

func (f *family) close() error { return errors.Join(f.in.Close(), f.out.Close()) }
