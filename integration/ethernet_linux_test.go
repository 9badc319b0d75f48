package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// overlay is the device of every member.
const overlay = "edge0"

// answerWithin is how long anything on the overlay may take.
const answerWithin = 5 * time.Second

// Everything that Ethernet carries crosses, both ways, between two edges whose
// underlay is IPv4 behind NATs, between two of IPv6, and between one of each,
// which only the supernode can join.
func TestEthernet(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	left, right := w.pair(lab.PortRestricted)
	six := w.join(lab.Must(w.Host("six", "2001:db8:6::1")), overIPv6)
	seven := w.join(w.home("seven", 3, lab.PortRestricted, "2001:db8:c::/64"), overIPv6)
	everybody := []*member{left, right, six, seven}
	for _, m := range everybody {
		m.addr()
	}
	cases := []struct {
		name string
		a, b *member
		path control.Path
		six  bool // the underlay of a direct path
	}{
		{"IPv4 behind NATs", left, right, control.PathDirect, false},
		{"IPv6", six, seven, control.PathDirect, true},
		{"IPv4 to IPv6", left, six, control.PathRelay, false},
	}
	for _, c := range cases {
		c.a.meet(c.b.addr(), answerWithin)
		peer := c.a.reach(c.b, c.path)
		if c.path == control.PathDirect {
			if end := netip.MustParseAddrPort(peer.Endpoint); end.Addr().Is6() != c.six {
				t.Errorf("%s: direct to %s", c.name, end)
			}
		}
		for _, way := range [][2]*member{{c.a, c.b}, {c.b, c.a}} {
			from, to := way[0], way[1]
			for _, check := range crossings {
				if err := check.crosses(from, to); err != nil {
					t.Errorf("%s: %s from %s to %s: %v", c.name, check.name, from.Name, to.Name, err)
				}
			}
		}
		if p := c.a.path(c.b); p != c.path {
			t.Errorf("%s: the path is %q at the end", c.name, p)
		}
	}
	for _, from := range everybody {
		for _, group := range []string{"255.255.255.255", "239.1.2.3", "ff02::4242", "ff05::4242"} {
			if err := reachesAll(from, everybody, netip.MustParseAddr(group)); err != nil {
				t.Errorf("%s from %s: %v", group, from.Name, err)
			}
		}
	}
}

// crossings are what has to cross.
var crossings = []struct {
	name    string
	crosses func(from, to *member) error
}{
	{"ARP", func(from, to *member) error { return resolves(from, to, to.addr()) }},
	{"neighbour discovery", func(from, to *member) error { return resolves(from, to, to.addr6()) }},
	{"neighbour discovery of a link-local address", func(from, to *member) error {
		a, err := linkLocal(to)
		if err != nil {
			return err
		}
		return resolves(from, to, a.WithZone(overlay))
	}},
	{"UDP over IPv4", func(from, to *member) error { return echoesUDP(from, to, to.addr()) }},
	{"UDP over IPv6", func(from, to *member) error { return echoesUDP(from, to, to.addr6()) }},
	{"TCP over IPv4", func(from, to *member) error { return echoesTCP(from, to, to.addr()) }},
	{"TCP over IPv6", func(from, to *member) error { return echoesTCP(from, to, to.addr6()) }},
	{"a frame with a VLAN tag", crossesTagged},
}

// resolves forgets what the kernel knows of an address, pings it, and compares
// what the kernel has learned with the hardware address that it should be.
func resolves(from, to *member, address netip.Addr) error {
	want := to.status().MAC
	ctx, cancel := context.WithTimeout(from.town.ctx, answerWithin)
	defer cancel()
	known := func() (*netlink.Neigh, error) {
		link, err := netlink.LinkByName(overlay)
		if err != nil {
			return nil, err
		}
		list, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
		for _, n := range list {
			if a, ok := netip.AddrFromSlice(n.IP); ok && a.Unmap() == address.WithZone("") {
				return &n, err
			}
		}
		return nil, err
	}
	err := from.Host.Do(func() error {
		n, err := known()
		if n != nil {
			err = errors.Join(err, netlink.NeighDel(n))
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := from.Host.Ping(ctx, address); err != nil {
		return err
	}
	return from.Host.Do(func() error {
		n, err := known()
		if err != nil || n == nil {
			return fmt.Errorf("%s is not resolved: %w", address, err)
		}
		if got := n.HardwareAddr.String(); got != want {
			return fmt.Errorf("%s is at %s, not at %s", address, got, want)
		}
		return nil
	})
}

// linkLocal returns the address that the kernel gave the member's device.
func linkLocal(m *member) (a netip.Addr, err error) {
	err = m.Host.Do(func() error {
		link, err := netlink.LinkByName(overlay)
		if err != nil {
			return err
		}
		list, err := netlink.AddrList(link, netlink.FAMILY_V6)
		for _, entry := range list {
			if entry.IP.IsLinkLocalUnicast() {
				a, _ = netip.AddrFromSlice(entry.IP)
				return nil
			}
		}
		return fmt.Errorf("%s has no link-local address: %w", m.Name, err)
	})
	return a, err
}

// random returns bytes that are nowhere else.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// echoesUDP sends datagrams of all lengths and wants each back. A datagram may
// be longer than a frame: the kernel splits it.
func echoesUDP(from, to *member, address netip.Addr) error {
	server, err := to.Host.ListenUDP("udp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return err
	}
	var done sync.WaitGroup
	done.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, peer, err := server.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDPAddrPort(b[:n], peer)
		}
	})
	defer done.Wait()
	defer server.Close()
	conn, err := from.Host.Dial(from.town.ctx, "udp", server.LocalAddr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	b := make([]byte, 1<<16)
	for _, size := range []int{1, 17, 512, 1200, 1322, 1342, 1343, 1472, 4000, 20000} {
		sent := random(size)
		conn.SetDeadline(time.Now().Add(answerWithin))
		if _, err := conn.Write(sent); err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
		n, err := conn.Read(b)
		if err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
		if !bytes.Equal(b[:n], sent) {
			return fmt.Errorf("%d bytes came back as other %d", size, n)
		}
	}
	return nil
}

// transferSize is how much goes over a TCP connection each way, in bytes.
const transferSize = 1 << 20

// echoesTCP sends bytes over a connection, gets them back, and compares.
func echoesTCP(from, to *member, address netip.Addr) error {
	server, err := to.Host.Listen("tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return err
	}
	var done sync.WaitGroup
	done.Go(func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(answerWithin))
		_, _ = io.Copy(conn, conn)
	})
	defer done.Wait()
	defer server.Close()
	ctx, cancel := context.WithTimeout(from.town.ctx, answerWithin)
	defer cancel()
	conn, err := from.Host.Dial(ctx, "tcp", server.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerWithin))
	sent := random(transferSize)
	done.Go(func() {
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
	})
	got, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, sent) {
		return fmt.Errorf("%d bytes came back as other %d", len(sent), len(got))
	}
	return nil
}

// reachesAll sends a datagram to a group from one member, and wants it at all
// the others.
func reachesAll(from *member, everybody []*member, group netip.Addr) error {
	const port = 9100
	message := random(32)
	var listeners []*net.UDPConn
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	var names []string
	for _, m := range everybody {
		if m == from {
			continue
		}
		l, err := listenGroup(m, group, port)
		if err != nil {
			return err
		}
		listeners, names = append(listeners, l), append(names, m.Name)
	}
	if err := sendGroup(from, netip.AddrPortFrom(group, port), message); err != nil {
		return err
	}
	b := make([]byte, 2048)
	for i, l := range listeners {
		l.SetReadDeadline(time.Now().Add(answerWithin))
		n, err := l.Read(b)
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		if !bytes.Equal(b[:n], message) {
			return fmt.Errorf("%s received something else", names[i])
		}
	}
	return nil
}

// listenGroup opens a socket that hears a group, or broadcasts, on the overlay.
func listenGroup(m *member, group netip.Addr, port int) (conn *net.UDPConn, err error) {
	err = m.Host.Do(func() error {
		link, err := net.InterfaceByName(overlay)
		if err != nil {
			return err
		}
		network := "udp4"
		if group.Is6() {
			network = "udp6"
		}
		if !group.IsMulticast() {
			conn, err = net.ListenUDP(network, &net.UDPAddr{Port: port})
			return err
		}
		conn, err = net.ListenMulticastUDP(network, link, &net.UDPAddr{IP: group.AsSlice(), Port: port})
		return err
	})
	return conn, err
}

// sendGroup sends a datagram to a group on the overlay.
func sendGroup(m *member, to netip.AddrPort, message []byte) error {
	return m.Host.Do(func() error {
		link, err := net.InterfaceByName(overlay)
		if err != nil {
			return err
		}
		destination := net.UDPAddrFromAddrPort(to)
		if to.Addr().Is4() {
			c, err := net.ListenUDP("udp4", nil)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := bindToOverlay(c); err != nil {
				return err
			}
			p := ipv4.NewPacketConn(c)
			if err := errors.Join(p.SetMulticastInterface(link), p.SetMulticastTTL(2)); err != nil {
				return err
			}
			_, err = c.WriteToUDP(message, destination)
			return err
		}
		c, err := net.ListenUDP("udp6", nil)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := ipv6.NewPacketConn(c).SetMulticastInterface(link); err != nil {
			return err
		}
		_, err = c.WriteToUDP(message, destination)
		return err
	})
}

// bindToOverlay keeps a socket's datagrams on the overlay: a broadcast to all
// would take the default route.
func bindToOverlay(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	err = raw.Control(func(fd uintptr) {
		fault = unix.BindToDevice(int(fd), overlay)
	})
	return errors.Join(err, fault)
}

// A rawSocket sends and receives whole frames on a member's device.
type rawSocket struct {
	fd      int
	address unix.SockaddrLinklayer
}

// openRaw opens a raw socket for frames of one EtherType, or all.
func openRaw(m *member, etherType uint16) (*rawSocket, error) {
	return openRawOn(m, overlay, etherType)
}

// openRawOn is openRaw at a device.
func openRawOn(m *member, device string, etherType uint16) (*rawSocket, error) {
	s := &rawSocket{fd: -1}
	err := m.Host.Do(func() error {
		link, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, etherType))
		s.address = unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Index}
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol)); err != nil {
			return err
		}
		return unix.Bind(s.fd, &s.address)
	})
	return s, err
}

func (s *rawSocket) send(frame []byte) error { return unix.Sendto(s.fd, frame, 0, &s.address) }
func (s *rawSocket) close() error            { return unix.Close(s.fd) }

// crossesTagged sends frames with an 802.1Q tag as no VLAN device of the kernel
// would have to be there for, and wants the very same bytes at the other end.
func crossesTagged(from, to *member) error {
	capture, err := to.Host.Capture(overlay)
	if err != nil {
		return err
	}
	defer capture.Stop()
	s, err := openRaw(from, unix.ETH_P_ALL)
	if err != nil {
		return err
	}
	defer s.close()
	self, peer := from.mac(), to.mac()
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	var frames [][]byte
	for _, way := range []struct{ source, destination net.HardwareAddr }{{self, peer}, {self, everybody}} {
		// An experimental EtherType (IEEE 802), and IPv4, whose frames the wire
		// has a shorter form for.
		frames = append(frames,
			tagged(way.destination, way.source, 0x88b5, random(64)),
			tagged(way.destination, way.source, unix.ETH_P_IP, datagram(random(64))))
	}
	for _, f := range frames {
		if err := s.send(f); err != nil {
			return err
		}
	}
	for i, f := range frames {
		if err := awaitFrame(capture, f); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
	}
	return capture.Stop()
}

// tagged returns a frame of priority 5 and VLAN 100.
func tagged(destination, source net.HardwareAddr, etherType uint16, payload []byte) []byte {
	const priority, vlan = 5, 100
	b := append(append([]byte(nil), destination...), source...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_8021Q)
	b = binary.BigEndian.AppendUint16(b, priority<<13|vlan)
	b = binary.BigEndian.AppendUint16(b, etherType)
	return append(b, payload...)
}

// datagram returns an IPv4 datagram of an experimental protocol (RFC 3692).
func datagram(payload []byte) []byte {
	h := ipv4.Header{
		Version: 4, Len: ipv4.HeaderLen, TotalLen: ipv4.HeaderLen + len(payload), TTL: 64, Protocol: 253,
		Src: net.IPv4(192, 0, 2, 1), Dst: net.IPv4(192, 0, 2, 2),
	}
	b, err := h.Marshal()
	if err != nil {
		panic(err) // the header is the same every time
	}
	return append(b, payload...)
}

// awaitFrame waits until a capture holds a frame, exactly once.
func awaitFrame(c *lab.Capture, frame []byte) error {
	for end := time.Now().Add(answerWithin); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		seen := 0
		for _, p := range c.Packets() {
			if bytes.Equal(p.Frame, frame) {
				seen++
			}
		}
		if seen == 1 {
			return nil
		}
		if seen > 1 {
			return fmt.Errorf("came %d times", seen)
		}
	}
	return errors.New("did not come as it was sent")
}
