package integration

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// recursionPhase is how long traffic flows in each state of the network, and
// recursionShare the most that the underlay may carry for each byte of a frame.
const (
	recursionPhase = 4 * time.Second
	recursionShare = 1.3
)

// bridged is a member whose device is a port of a bridge with addresses.
type bridged struct {
	*member
	inside netip.Addr // on the bridge
	name   string     // of the bridge
}

// An overlay never carries itself: the direct way is blocked, and the only other one is
// the bridges at both ends, which have addresses; so is it after the bridge is renamed,
// and when routes lead into the overlay that a user or a router advertisement has set.
func TestNeverThroughItself(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	hosts := []*lab.Host{lab.Must(w.Host("left", "203.0.113.11", "2001:db8:11::1")), lab.Must(w.Host("right", "203.0.113.12", "2001:db8:12::1"))}
	blockDirect(t, w, hosts[0], hosts[1])
	for i, h := range hosts {
		must(t, h.Do(func() error { return addBridge(byte(i + 1)) }))
	}
	left := w.join(hosts[0], overIPv4, "--bridge", "br0", "-M", "1500")
	right := w.join(hosts[1], overIPv4, "--bridge", "br0", "-M", "1500")
	w.await(left.Program, "ready")
	w.await(right.Program, "ready")
	a := &bridged{member: left, inside: insideOf(1), name: "br0"}
	b := &bridged{member: right, inside: insideOf(2), name: "br0"}

	a.carriesOnce(b, "bridges with addresses")
	for _, e := range []*bridged{a, b} {
		e.do(func() error { return e.rename("lan0") })
	}
	a.carriesOnce(b, "bridges renamed")
	for _, e := range []struct{ here, there *bridged }{{a, b}, {b, a}} {
		e.here.do(func() error { return e.here.routeOver(e.there) })
	}
	a.carriesOnce(b, "static routes to the peer")
	a.do(func() error { return a.advertised(b) })
	b.do(func() error { return b.advertised(a) })
	a.carriesOnce(b, "default routes by router advertisements")
}

// A route to a peer that leads into the overlay while its direct path is in use: the path
// is given up, what came out of the device until then is dropped, and the user is told.
func TestRouteIntoOverlay(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	left := w.join(lab.Must(w.Host("left", "203.0.113.11")), overIPv4)
	right := w.join(lab.Must(w.Host("right", "203.0.113.12")), overIPv4)
	to := right.addr()
	left.meet(to, answerWithin)
	left.reach(right, control.PathDirect)
	must(t, left.Host.Do(func() error {
		link, err := netlink.LinkByName(overlay)
		if err != nil {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: to.AsSlice(), Dst: host32("203.0.113.12")})
	}))
	stop := time.Now().Add(10 * time.Second)
	for left.path(right) != control.PathRelay && time.Now().Before(stop) {
		_, _ = left.knock(to, 200*time.Millisecond)
	}
	left.reach(right, control.PathRelay)
	left.meet(to, answerWithin)
	s := left.status()
	if s.Drops["own-datagram"] == 0 {
		t.Errorf("no datagram of its own was dropped: %v", s.Drops)
	}
	if text := strings.Join(s.Notes, "\n"); !strings.Contains(text, "[E19]") || !strings.Contains(text, "203.0.113.12") || !strings.Contains(text, "right") {
		t.Errorf("status says %q", text)
	}
	if n := strings.Count(left.Log(), "[E19]"); n != 1 {
		t.Errorf("the log says %d times that the route leads into the overlay", n)
	}
}

// A route to the supernode that leads into the overlay: nothing is sent there, and the
// user is told.
func TestSupernodeInsideOverlay(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	left := w.start(lab.Must(w.Host("left", "203.0.113.11")), "-c", "town", "-k", "correct horse battery staple", "-l", "203.0.113.99:7654", "-a", "dhcp")
	stop := time.Now().Add(10 * time.Second)
	must(t, left.Host.Do(func() error {
		for {
			if link, err := netlink.LinkByName(overlay); err == nil {
				return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: host32("203.0.113.99")})
			} else if time.Now().After(stop) {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}))
	w.await(left.Program, "[E19]")
	if notes := strings.Join(left.status().Notes, "\n"); !strings.Contains(notes, "203.0.113.99") {
		t.Errorf("status says %q", notes)
	}
}

// host32 returns the network of one IPv4 address.
func host32(a string) *net.IPNet {
	return &net.IPNet{IP: net.ParseIP(a).To4(), Mask: net.CIDRMask(32, 32)}
}

// blockDirect blocks every way between two hosts but that by the supernode.
func blockDirect(t *testing.T, w *town, a, b *lab.Host) {
	t.Helper()
	for _, from := range a.Addrs() {
		for _, to := range b.Addrs() {
			if from.Is4() == to.Is4() {
				must(t, w.Internet().Cut(from, to))
			}
		}
	}
}

// insideOf returns the IPv4 address of a bridge.
func insideOf(number byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, number}) }

// addBridge makes a bridge with addresses, and with the device of an edge as its port,
// whose hardware address it has.
func addBridge(number byte) error {
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	device := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: overlay}, Mode: netlink.TUNTAP_MODE_TAP}
	if err := errors.Join(netlink.LinkAdd(br), netlink.LinkAdd(device)); err != nil {
		return err
	}
	e := &bridged{inside: insideOf(number)}
	return errors.Join(
		netlink.AddrAdd(br, &netlink.Addr{IPNet: &net.IPNet{IP: e.inside.AsSlice(), Mask: net.CIDRMask(24, 32)}}),
		netlink.AddrAdd(br, &netlink.Addr{IPNet: &net.IPNet{IP: e.inside6(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}),
		netlink.LinkSetMaster(device, br), netlink.LinkSetUp(br))
}

// inside6 returns the IPv6 address of the bridge.
func (e *bridged) inside6() net.IP {
	ip := net.ParseIP("fd77::")
	ip[15] = e.inside.As4()[3]
	return ip
}

// do calls f in the host's namespace.
func (e *bridged) do(f func() error) {
	e.town.t.Helper()
	must(e.town.t, e.Host.Do(f))
}

// rename gives the bridge another name, and a hardware address of its own.
func (e *bridged) rename(name string) error {
	br, err := netlink.LinkByName(e.name)
	if err != nil {
		return err
	}
	e.name = name
	return errors.Join(netlink.LinkSetDown(br), netlink.LinkSetName(br, name),
		netlink.LinkSetHardwareAddr(br, net.HardwareAddr{2, 0xb1, 0, 0, 0, e.inside.As4()[3]}), netlink.LinkSetUp(br),
		netlink.AddrReplace(br, &netlink.Addr{IPNet: &net.IPNet{IP: e.inside6(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}))
}

// routeOver has the addresses that the other end has outside reached by the bridge.
func (e *bridged) routeOver(other *bridged) error {
	br, err := netlink.LinkByName(e.name)
	if err != nil {
		return err
	}
	for _, a := range other.Host.Addrs() {
		gateway := net.IP(other.inside.AsSlice())
		if a.Is6() {
			gateway = other.inside6()
		}
		route := &netlink.Route{LinkIndex: br.Attrs().Index, Gw: gateway, Dst: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("a route to %s: %w", a, err)
		}
	}
	return nil
}

// advertised takes the routes of routeOver away, and sets the default route that a router
// advertisement of the other end would have set.
func (e *bridged) advertised(other *bridged) error {
	br, err := netlink.LinkByName(e.name)
	if err != nil {
		return err
	}
	for _, a := range other.Host.Addrs() {
		route := &netlink.Route{LinkIndex: br.Attrs().Index, Dst: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
		if err := netlink.RouteDel(route); err != nil {
			return err
		}
	}
	return netlink.RouteAdd(&netlink.Route{
		LinkIndex: br.Attrs().Index, Gw: other.inside6(), Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}, Protocol: unix.RTPROT_RA, Priority: 1,
	})
}

// carriesOnce sends frames from one bridge to the other for a while, and wants the
// underlay to carry each of them once, by the supernode.
func (e *bridged) carriesOnce(other *bridged, what string) {
	t := e.town.t
	t.Helper()
	e.meet(other.inside, answerWithin) // whatever has to be resolved, is
	began := e.sent()
	conn, err := e.Host.Dial(e.town.ctx, "udp", netip.AddrPortFrom(other.inside, 9).String())
	must(t, err)
	defer conn.Close()
	payload, frames := make([]byte, 1200), 0
	for stop := time.Now().Add(recursionPhase); time.Now().Before(stop); time.Sleep(5 * time.Millisecond) {
		if _, err := conn.Write(payload); err == nil || !errors.Is(err, unix.ECONNREFUSED) { // that of the one before
			frames++
		}
	}
	inner, outer := float64(frames*(14+20+8+len(payload))), float64(e.sent()-began)
	t.Logf("%s: the underlay carried %.2f times the frames", what, outer/inner)
	if outer < 0.9*inner || outer > recursionShare*inner {
		t.Errorf("%s: frames of %.0f bytes became %.0f outside", what, inner, outer)
	}
	for _, way := range [][2]*bridged{{e, other}, {other, e}} {
		if p := way[0].path(way[1].member); p != control.PathRelay {
			t.Errorf("%s: %s reaches %s by %s", what, way[0].Name, way[1].Name, p)
		}
	}
}

// sent returns how many bytes have left the host by its link to the internet.
func (e *bridged) sent() (bytes uint64) {
	e.do(func() (err error) {
		link, err := netlink.LinkByName(lab.HostLink)
		if err != nil {
			return err
		}
		bytes = link.Attrs().Statistics.TxBytes
		return nil
	})
	return bytes
}

// must ends the test if there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
