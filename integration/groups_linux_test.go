package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/protocol"
)

// The groups of these tests, the port of the datagrams, and how many there are a second in
// each: together fewer than storm control lets pass.
var (
	film4 = netip.MustParseAddr("239.1.2.3")
	film6 = netip.MustParseAddr("ff0e::9")
)

const (
	filmPort = 5004
	filmRate = 50
)

// A host on one LAN plays to two groups, one of IPv4 and one of IPv6. They reach the sites
// where a host's kernel has joined, bridge with snooping and all, and no other; who joins
// late gets them within a second, and when nobody is left they stop. So it is with each
// version of IGMP and MLD, and whether there is a querier or not. A router's site gets
// all, and OSPF and mDNS reach everybody.
func TestMulticast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		querier bool
		sysctls []string
	}{
		{"IGMPv3 and MLDv2 without a querier", false, nil},
		{"IGMPv2 and MLDv1 without a querier", false, []string{"net/ipv4/conf/all/force_igmp_version=2", "net/ipv6/conf/all/force_mld_version=1"}},
		{"IGMPv2 and MLDv1 with a querier", true, []string{"net/ipv4/conf/all/force_igmp_version=2", "net/ipv6/conf/all/force_mld_version=1"}},
		{"IGMPv3 and MLDv2 with a querier", true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, 180*time.Second)
			v := w.cinema(c.sysctls, c.querier)
			stop := v.play(t)
			defer stop()
			early, late, plain := v.join(t, v.sites[1].station), v.sites[2].station, v.join(t, v.plain)
			early.within(t, 2*time.Second)
			plain.within(t, 2*time.Second)
			began := time.Now()
			viewer := v.join(t, late)
			viewer.within(t, time.Second)
			t.Logf("who joined late had the film after %v", time.Since(began))
			want := []bool{true, true, c.querier, true} // of sites 1 to 3, and of the plain edge
			time.Sleep(2 * time.Second)
			if got := v.count(t, 5*time.Second); !slices.Equal(got, want) {
				t.Errorf("the film comes to %v, want %v; the sender's edge knows %+v", got, want, v.groups(w))
			}
			viewer.leave()
			want[1] = false
			if c.querier {
				time.Sleep(500 * time.Millisecond)
				v.asks.askLeft(t)
			}
			time.Sleep(6 * time.Second)
			if got := v.count(t, 3*time.Second); !slices.Equal(got, want) {
				t.Errorf("after one has left the film comes to %v, want %v; the sender's edge knows %+v", got, want, v.groups(w))
			}
			v.controlGroups(t)
		})
	}
}

// cinema is four sites, the first of which has the source, and a plain edge.
type cinema struct {
	sites []*site
	plain *member
	asks  *querier // nil: there is none
}

// cinema makes the sites, with bridges that snoop as Linux's do, and waits until the edge
// of the source knows of all others what they have joined. The querier is the host of
// the last site.
func (w *town) cinema(sysctls []string, querier bool) *cinema {
	w.t.Helper()
	v := new(cinema)
	for i, name := range []string{"source", "one", "two", "none"} {
		s := w.site(w.home(name, i+1, lab.PortRestricted), i+1, 1500)
		w.sh(s.host, "ip link set br0 type bridge mcast_snooping 1")
		for _, assignment := range sysctls {
			name, value, _ := strings.Cut(assignment, "=")
			if err := s.station.Host.Sysctl(name, value); err != nil {
				w.t.Fatal(err)
			}
		}
		w.joinBridge(s)
		v.sites = append(v.sites, s)
	}
	host := w.home("plain", 5, lab.PortRestricted)
	for _, assignment := range sysctls {
		name, value, _ := strings.Cut(assignment, "=")
		if err := host.Sysctl(name, value); err != nil {
			w.t.Fatal(err)
		}
	}
	v.plain = w.join(host, overIPv4)
	v.plain.addr()
	stop := v.play(w.t) // which has the edges meet
	defer stop()
	if querier {
		v.asks = v.router(w)
	}
	all := []string{}
	if querier {
		all = []string{"none"}
	}
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		g := v.groups(w)
		if slices.Equal(g.All, all) && !g.Flooded {
			return v
		}
		if time.Now().After(end) {
			w.t.Fatalf("the edge of the source knows %+v", g)
		}
	}
}

// querier asks for members from the station of the last site, as a multicast router does.
type querier struct {
	mac    protocol.MAC
	socket *rawSocket
}

// router makes the station of the last site a querier, which asks every five seconds.
func (v *cinema) router(w *town) *querier {
	w.t.Helper()
	q := &querier{mac: protocol.MAC(v.sites[3].station.mac()), socket: lab.Must(openRaw(v.sites[3].station, 0))}
	end := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			for _, f := range []bridge.Family{bridge.IPv4, bridge.IPv6} {
				q.ask(w.t, bridge.Query{Family: f, Respond: time.Second})
			}
			select {
			case <-end:
				return
			case <-time.After(5 * time.Second):
			}
		}
	})
	w.t.Cleanup(func() { close(end); asking.Wait(); q.socket.close() })
	return q
}

// ask sends a query, in IPv4 from an address.
func (q *querier) ask(t *testing.T, query bridge.Query) {
	frame := query.Append(nil, q.mac)
	if query.Family == bridge.IPv4 {
		ip := frame[protocol.EthernetLen:]
		copy(ip[12:16], []byte{10, 50, 0, 4})
		copy(ip[10:12], []byte{0, 0})
		binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip[:24]))
	}
	if err := q.socket.send(frame); err != nil {
		t.Error(err)
	}
}

// askLeft asks who is left in both groups, as a querier does when it hears a leave.
func (q *querier) askLeft(t *testing.T) {
	for f, a := range map[bridge.Family]netip.Addr{bridge.IPv4: film4, bridge.IPv6: film6} {
		q.ask(t, bridge.Query{Group: bridge.Group{IP: a.As16()}, Family: f, Respond: time.Second})
	}
}

func (v *cinema) groups(w *town) control.Groups {
	w.t.Helper()
	return lab.Must(w.FDB(w.ctx, v.sites[0].edge.Program)).Groups
}

// play sends to both groups from the station of the first site until stop is called.
func (v *cinema) play(t *testing.T) (stop func()) {
	t.Helper()
	var conns []net.PacketConn
	err := v.sites[0].station.Host.Do(func() error {
		link, err := net.InterfaceByName(overlay)
		if err != nil {
			return err
		}
		c4, err := net.ListenPacket("udp4", "0.0.0.0:0")
		if err != nil {
			return err
		}
		c6, err := net.ListenPacket("udp6", "[::]:0")
		if err != nil {
			return err
		}
		conns = []net.PacketConn{c4, c6}
		p4, p6 := ipv4.NewPacketConn(c4), ipv6.NewPacketConn(c6)
		return errors.Join(p4.SetMulticastInterface(link), p4.SetMulticastTTL(4), p6.SetMulticastInterface(link), p6.SetMulticastHopLimit(4))
	})
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	var playing sync.WaitGroup
	playing.Go(func() {
		for {
			for i, a := range []netip.Addr{film4, film6} {
				_, _ = conns[i].WriteTo(make([]byte, 200), net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, filmPort)))
			}
			select {
			case <-end:
				return
			case <-time.After(time.Second / filmRate):
			}
		}
	})
	return func() {
		close(end)
		playing.Wait()
		for _, c := range conns {
			c.Close()
		}
	}
}

// viewer is a program that has joined both groups.
type viewer struct {
	name  string
	conns []*net.UDPConn
	got   [2]atomic.Int64
	first [2]chan struct{}
}

// join has a program on a host join both groups on its end of the LAN, or its device.
func (v *cinema) join(t *testing.T, m *member) *viewer {
	t.Helper()
	s := &viewer{name: m.Name, first: [2]chan struct{}{make(chan struct{}), make(chan struct{})}}
	err := m.Host.Do(func() error {
		link, err := net.InterfaceByName(overlay)
		if err != nil {
			return err
		}
		for i, network := range []string{"udp4", "udp6"} {
			conn, err := net.ListenMulticastUDP(network, link, net.UDPAddrFromAddrPort(netip.AddrPortFrom([]netip.Addr{film4, film6}[i], filmPort)))
			if err != nil {
				return err
			}
			s.conns = append(s.conns, conn)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, conn := range s.conns {
		go func() {
			b := make([]byte, 1500)
			for {
				if _, err := conn.Read(b); err != nil {
					return
				}
				if s.got[i].Add(1) == 1 {
					close(s.first[i])
				}
			}
		}()
	}
	t.Cleanup(s.leave)
	return s
}

// within fails the test unless both groups come in a time.
func (s *viewer) within(t *testing.T, d time.Duration) {
	t.Helper()
	for i, first := range s.first {
		select {
		case <-first:
		case <-time.After(d):
			t.Errorf("%s: nothing of group %d has come after %v", s.name, i, d)
		}
	}
}

func (s *viewer) leave() {
	for _, c := range s.conns {
		c.Close()
	}
}

// listen opens a socket for what comes to the device of each edge, but that of the source.
func (v *cinema) listen(t *testing.T) (edges []*member, sockets []*rawSocket) {
	t.Helper()
	edges = []*member{v.sites[1].edge, v.sites[2].edge, v.sites[3].edge, v.plain}
	for _, m := range edges {
		s := lab.Must(openRaw(m, unix.ETH_P_ALL))
		t.Cleanup(func() { s.close() })
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, s)
	}
	return edges, sockets
}

// count returns at the devices of which edges, but that of the source, the film comes: all
// of both groups, or nothing at all.
func (v *cinema) count(t *testing.T, d time.Duration) (list []bool) {
	t.Helper()
	edges, sockets := v.listen(t)
	time.Sleep(d)
	want := int(d.Seconds() * filmRate)
	for i, s := range sockets {
		n := [2]int{}
		b := make([]byte, 2048)
		for {
			size, from, err := unix.Recvfrom(s.fd, b, unix.MSG_DONTWAIT)
			if err != nil {
				break
			}
			if l, ok := from.(*unix.SockaddrLinklayer); !ok || l.Pkttype == unix.PACKET_OUTGOING || size < 54 {
				continue
			}
			switch {
			case string(b[30:34]) == string(film4.AsSlice()) && b[23] == 17:
				n[0]++
			case string(b[38:54]) == string(film6.AsSlice()) && b[20] == 17:
				n[1]++
			}
		}
		all := n[0] > want/3 && n[1] > want/3 // the machine may be slow
		if !all && n != [2]int{} {
			t.Errorf("%s: %v frames of %d", edges[i].Name, n, want)
		}
		list = append(list, all)
	}
	return list
}

// controlGroups holds that OSPF and mDNS reach every site, though nobody has joined.
func (v *cinema) controlGroups(t *testing.T) {
	t.Helper()
	edges, sockets := v.listen(t)
	raw := lab.Must(openRaw(v.sites[0].station, 0))
	defer raw.close()
	frames := map[string][]byte{}
	for name, c := range map[string]struct {
		last, proto byte
	}{"OSPF": {5, 89}, "mDNS": {251, 17}} {
		p := make([]byte, 20+44)
		p[0], p[3], p[8], p[9] = 0x45, byte(len(p)), 1, c.proto
		copy(p[12:], []byte{10, 50, 0, 1, 224, 0, 0, c.last})
		binary.BigEndian.PutUint16(p[10:], ^sum(0, p[:20]))
		frames[name] = append([]byte{1, 0, 0x5e, 0, 0, c.last, 2, 0, 0, 0, 9, 9, 8, 0}, p...)
		if err := raw.send(frames[name]); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	for i, s := range sockets {
		seen := map[string]bool{}
		b := make([]byte, 2048)
		for !seen["OSPF"] || !seen["mDNS"] {
			size, _, err := unix.Recvfrom(s.fd, b, unix.MSG_DONTWAIT)
			if err != nil {
				if machine.since(began) > answerWithin {
					break
				}
				time.Sleep(10 * time.Millisecond)
				continue
			}
			for name, f := range frames {
				seen[name] = seen[name] || string(b[:size]) == string(f)
			}
		}
		if !seen["OSPF"] || !seen["mDNS"] {
			t.Errorf("%s: came: %v", edges[i].Name, fmt.Sprint(seen))
		}
	}
}
