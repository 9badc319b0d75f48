package lan

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
)

const (
	// patience bounds what takes microseconds.
	patience = 5 * time.Second
	// silence is how long nothing must come.
	silence = 300 * time.Millisecond
)

// member is a Conn on a machine of the lab, and what it hears.
type member struct {
	*lab.Namespace
	*Conn
	heard chan heard
}

type heard struct {
	from netip.AddrPort
	text string
}

func (h heard) String() string { return fmt.Sprintf("%q from %s", h.text, h.from) }

// join opens a Conn on a machine and announces its name once, which joins.
func join(t *testing.T, n *lab.Namespace) *member {
	t.Helper()
	m := &member{Namespace: n, heard: make(chan heard, 64)}
	if err := n.Do(func() (err error) {
		m.Conn, err = Open(Config{Log: slog.New(slog.DiscardHandler)})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- m.Serve(ctx, func(from netip.AddrPort, pkt []byte) { m.heard <- heard{from, string(pkt)} })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	m.announce(t, n.Name())
	return m
}

// awaitLinkLocal waits until the interfaces of a machine that are up have a link-local
// address that can be sent from, which the kernel gives them in its own time.
func awaitLinkLocal(t *testing.T, n *lab.Namespace) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		waiting := ""
		err := n.Do(func() error {
			ifaces, err := netlink.LinkList()
			for _, l := range ifaces {
				if l.Attrs().Name != "lo" && l.Attrs().OperState == netlink.OperUp && !sends6(l) {
					waiting = l.Attrs().Name
				}
			}
			return err
		})
		switch {
		case err != nil:
			t.Fatal(err)
		case waiting == "":
			return
		case time.Now().After(deadline):
			t.Fatalf("%s: %s has no link-local address", n.Name(), waiting)
		}
	}
}

func sends6(l netlink.Link) bool {
	addrs, _ := netlink.AddrList(l, netlink.FAMILY_V6)
	return slices.ContainsFunc(addrs, func(a netlink.Addr) bool {
		return a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0
	})
}

func (m *member) announce(t *testing.T, text string) (n int) {
	t.Helper()
	awaitLinkLocal(t, m.Namespace)
	if err := m.Do(func() (err error) { n, err = m.Announce([]byte(text)); return err }); err != nil {
		t.Fatal(err)
	}
	return n
}

// hears waits for as many packets.
func (m *member) hears(t *testing.T, n int) (list []heard) {
	t.Helper()
	for range n {
		select {
		case h := <-m.heard:
			list = append(list, h)
		case <-time.After(patience):
			t.Fatalf("%s has heard %v, want %d", m.Name(), list, n)
		}
	}
	return list
}

func (m *member) hearsNothing(t *testing.T) {
	t.Helper()
	select {
	case h := <-m.heard:
		t.Errorf("%s hears %s", m.Name(), h)
	case <-time.After(silence):
	}
}

// Two hosts of a home hear each other by both families, themselves not, and
// nobody outside hears them.
func TestHome(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	home := lab.Must(l.Router("home", "198.51.100.7", lab.PortRestricted, "2001:db8:7::/64"))
	alice, bob := lab.Must(home.Host("alice")), lab.Must(home.Host("bob"))
	server := lab.Must(l.Host("server", "203.0.113.1", "2001:db8:1::1"))
	record := lab.Must(l.Internet().Capture())

	a := join(t, alice.Namespace)
	b := join(t, bob.Namespace)
	s := join(t, server.Namespace)
	var at4, at6 bool
	for _, h := range a.hears(t, 2) {
		at4 = at4 || h.from.Addr() == bob.Addr()
		at6 = at6 || h.from.Addr().IsLinkLocalUnicast() && h.from.Addr().Zone() == lab.HostLink
		if h.text != "bob" {
			t.Errorf("alice hears %s", h)
		}
	}
	if !at4 || !at6 {
		t.Errorf("alice hears bob by IPv4: %v, by IPv6: %v", at4, at6)
	}
	if n := a.announce(t, "alice again"); n != 2 {
		t.Errorf("%d packets", n)
	}
	b.hears(t, 2)
	a.hearsNothing(t)
	s.hearsNothing(t)

	if err := record.Stop(); err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, p := range record.Packets() {
		if bytes.Contains(p.Frame, []byte("alice")) || bytes.Contains(p.Frame, []byte("bob")) {
			t.Errorf("on the internet: %x", p.Frame)
		}
		if bytes.Contains(p.Frame, []byte("server")) {
			said++
		}
	}
	if said != 2 {
		t.Errorf("the record has %d announcements of the server", said)
	}
}

// Two members of one host hear each other.
func TestOneHost(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	home := lab.Must(l.Router("home", "198.51.100.7", lab.PortRestricted))
	alice := lab.Must(home.Host("alice"))
	first, second := join(t, alice.Namespace), join(t, alice.Namespace)
	first.hears(t, 2)
	first.announce(t, "first")
	second.hears(t, 2)
	first.hearsNothing(t)
	second.hearsNothing(t)
}

// An interface that comes later is joined at the next announcement, and so is
// one that went and came back as another one.
func TestLaterInterface(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	a, b, c := lab.Must(l.Island("a")), lab.Must(l.Island("b")), lab.Must(l.Island("c"))
	if err := l.Cable(a, b, "192.0.2.1/24", "192.0.2.2/24"); err != nil {
		t.Fatal(err)
	}
	ma, mb, mc := join(t, a.Namespace), join(t, b.Namespace), join(t, c.Namespace)
	ma.hears(t, 2) // b
	if err := l.Cable(a, c, "198.51.100.1/24", "198.51.100.2/24"); err != nil {
		t.Fatal(err)
	}
	mc.announce(t, "c")
	ma.hearsNothing(t)
	if n := ma.announce(t, "a"); n != 4 {
		t.Errorf("%d packets on two cables", n)
	}
	mb.hears(t, 2)
	mc.hears(t, 2)
	mc.announce(t, "c again")
	for _, h := range ma.hears(t, 2) {
		if h.text != "c again" || strings.Contains(h.from.Addr().Zone(), "b") {
			t.Errorf("a hears %s", h)
		}
	}

	if err := a.Do(func() error { return netlink.LinkDel(lab.Must(netlink.LinkByName("b"))) }); err != nil {
		t.Fatal(err)
	}
	if n := ma.announce(t, "a"); n != 2 {
		t.Errorf("%d packets on one cable", n)
	}
	mc.hears(t, 2)
	if n := mb.announce(t, "b"); n != 0 {
		t.Errorf("%d packets on none", n)
	}
	if err := l.Cable(a, b, "192.0.2.1/24", "192.0.2.2/24"); err != nil {
		t.Fatal(err)
	}
	ma.announce(t, "a")
	mb.announce(t, "b back")
	for _, h := range ma.hears(t, 2) {
		if h.text != "b back" {
			t.Errorf("a hears %s", h)
		}
	}
}

// Hosts with nothing but link-local addresses of IPv6 find each other.
func TestLinkLocal(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	a, b := lab.Must(l.Island("a")), lab.Must(l.Island("b"))
	if err := l.Cable(a, b, "fe80::a/64", "fe80::b/64"); err != nil {
		t.Fatal(err)
	}
	ma, mb := join(t, a.Namespace), join(t, b.Namespace)
	if n := mb.announce(t, "hello"); n != 1 {
		t.Errorf("%d packets", n)
	}
	for _, h := range ma.hears(t, 2) {
		if h.from.Addr().Zone() != "b" || !h.from.Addr().IsLinkLocalUnicast() {
			t.Errorf("a hears %s", h)
		}
	}
}

// What is sent to the port by unicast, and to the group with another hop limit
// or too long, is not heard.
func TestForeign(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	home := lab.Must(l.Router("home", "198.51.100.7", lab.PortRestricted))
	alice, bob := lab.Must(home.Host("alice")), lab.Must(home.Host("bob"))
	a := join(t, alice.Namespace)
	conn := lab.Must(bob.ListenUDP("udp4", bob.Addr().String()+":0"))
	defer conn.Close()
	if err := bob.Do(func() error { return netlink.RouteAdd(multicastRoute()) }); err != nil {
		t.Fatal(err)
	}
	group := netip.AddrPortFrom(DefaultGroup4, DefaultPort)
	for _, p := range []struct {
		text string
		hops int
		to   netip.AddrPort
	}{
		{"unicast", 1, netip.AddrPortFrom(alice.Addr(), DefaultPort)},
		{"from afar", 2, group},
		{strings.Repeat("long", MaxPacket), 1, group},
		{"good", 1, group},
	} {
		if err := ipv4.NewPacketConn(conn).SetMulticastTTL(p.hops); err != nil {
			t.Fatal(err)
		}
		lab.Must(conn.WriteToUDPAddrPort([]byte(p.text), p.to))
	}
	if h := a.hears(t, 1)[0]; h.text != "good" || h.from.Addr() != bob.Addr() {
		t.Errorf("heard: %s", h)
	}
	a.hearsNothing(t)
}

// multicastRoute sends multicast out of the host's link.
func multicastRoute() *netlink.Route {
	dst := lab.Must(netlink.ParseIPNet("224.0.0.0/4"))
	return &netlink.Route{LinkIndex: lab.Must(netlink.LinkByName(lab.HostLink)).Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK}
}

func TestClose(t *testing.T) {
	c, err := Open(Config{Port: 17656, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- c.Serve(context.Background(), func(netip.AddrPort, []byte) {}) }()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := c.Announce([]byte("late")); err == nil {
		t.Log("no eligible interface on this host")
	}
	if err := c.Close(); err == nil {
		t.Error("closed twice")
	}
	for _, n := range []int{0, MaxPacket + 1} {
		if _, err := c.Announce(make([]byte, n)); err == nil {
			t.Errorf("a packet of %d bytes", n)
		}
	}
}
