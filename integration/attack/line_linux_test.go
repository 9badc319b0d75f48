package attack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hedgerow/crypto"
	"hedgerow/integration/lab"
	"hedgerow/protocol"
)

// A line is a socket by which many light edges speak to a supernode, each from an
// address of its own in the networks that the host has been delegated, and on one port
// or several.
type line struct {
	to          netip.AddrPort
	ports       []port
	mask, hello *crypto.Mask

	mu     sync.Mutex
	edges  map[uint32]*lightEdge       // by number
	cookie func(at source, pkt []byte) // takes the COOKIEs that are for no edge; nil: nobody
}

// port is one socket of a line.
type port struct {
	conn  *net.UDPConn
	batch *ipv4.PacketConn
}

// source is where a packet of a line is sent from.
type source struct {
	addr netip.Addr
	port int // index of line.ports
}

// numberBits is how many bits of an index are left to a light edge: it counts its
// handshakes with them.
const numberBits = 8

// noEdge begins the indices of INITs that belong to no edge.
const noEdge = 1 << 31

// newLine opens sockets of a host. network is udp4 or udp6.
func newLine(t *testing.T, h *lab.Host, k *secrets, network string, to netip.AddrPort, ports int) *line {
	t.Helper()
	l := &line{to: to, mask: k.super, hello: k.hello, edges: make(map[uint32]*lightEdge)}
	for range ports {
		conn := lab.Must(h.ListenUDP(network, map[string]string{"udp4": "0.0.0.0:0", "udp6": "[::]:0"}[network]))
		t.Cleanup(func() { conn.Close() })
		raw := lab.Must(conn.SyscallConn())
		var err error
		if fault := raw.Control(func(fd uintptr) { err = tellDestination(int(fd), network == "udp4") }); fault != nil || err != nil {
			t.Fatal(fault, err)
		}
		l.ports = append(l.ports, port{conn, ipv4.NewPacketConn(conn)})
	}
	for i := range l.ports {
		go l.read(i)
	}
	return l
}

// tellDestination has a socket tell which address a datagram came for (ip(7), ipv6(7)),
// and keep what comes while its reader waits for a processor.
func tellDestination(fd int, four bool) error {
	const buffer = 16 << 20
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer); err != nil {
		return err
	}
	if four {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	// An address of a delegated network is on no link.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
}

// controlOf is the control message by which a datagram leaves from an address.
func controlOf(a netip.Addr) []byte {
	if a.Is4() {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: a.As16()})
}

// write sends a datagram to the supernode. One that the kernel does not take is lost on
// its way.
func (l *line) write(from source, pkt []byte) {
	_, _, _ = l.ports[from.port].conn.WriteMsgUDPAddrPort(pkt, controlOf(from.addr), l.to)
}

// read hands what comes on one port to whom it is for.
func (l *line) read(port int) {
	const most = 32
	messages, scratch, seen := make([]ipv4.Message, most), crypto.NewScratch(), make([]byte, 0, 2048)
	for i := range messages {
		messages[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 2048)}, OOB: make([]byte, 128)}
	}
	for {
		n, err := l.ports[port].batch.ReadBatch(messages, 0)
		if err != nil {
			return
		}
		for _, m := range messages[:n] {
			seen = append(seen[:0], m.Buffers[0][:m.N]...)
			l.deliver(scratch, seen, m.Buffers[0][:m.N], func() source { return source{addr: destination(m.OOB[:m.NN]), port: port} })
		}
	}
}

// destination returns the address in a control message of tellDestination.
func destination(oob []byte) netip.Addr {
	switch list, err := unix.ParseSocketControlMessage(oob); {
	case err != nil || len(list) != 1:
	case list[0].Header.Level == unix.IPPROTO_IP && len(list[0].Data) >= 12:
		return netip.AddrFrom4([4]byte(list[0].Data[8:]))
	case list[0].Header.Level == unix.IPPROTO_IPV6 && len(list[0].Data) >= 16:
		return netip.AddrFrom16([16]byte(list[0].Data))
	}
	return netip.Addr{}
}

// deliver finds out for whom a packet is, by its index or by the number in its nonce. seen
// is a copy of it.
func (l *line) deliver(scratch *crypto.Scratch, seen, pkt []byte, at func() source) {
	var number uint32
	if l.mask.Show(scratch, seen); len(seen) == protocol.WelcomeLen {
		seen = append(seen[:0], pkt...)
		l.hello.Show(scratch, seen)
		if nonce, _, err := protocol.ParseWelcome(seen); err == nil {
			number, pkt = binary.BigEndian.Uint32(nonce[:]), nil
		}
	}
	if pkt != nil {
		h, err := protocol.ParseHeader(seen)
		if err != nil {
			return
		}
		if h.RX&noEdge != 0 {
			if l.cookie != nil && h.Type == protocol.TypeCookie {
				l.cookie(at(), seen)
			}
			return
		}
		number = h.RX >> numberBits
	}
	l.mu.Lock()
	e := l.edges[number]
	l.mu.Unlock()
	if e != nil {
		e.hear(append([]byte(nil), pkt...))
	}
}
