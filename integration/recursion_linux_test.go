package integration

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// recursionPhase is how long traffic flows in each state of the network, recursionWhole
// that with -whole, and recursionShare the most that the underlay may carry for each byte
// of a frame.
const (
	recursionPhase = 4 * time.Second
	recursionWhole = 5 * time.Minute
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
// where the user has set routes into the overlay, and where a router advertisement of the
// other end has.
//
//	go test ./integration -run TestNeverThroughItself -whole
func TestNeverThroughItself(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(here, there *bridged) error{
		"bridges with addresses":   func(*bridged, *bridged) error { return nil },
		"bridges renamed":          func(here, _ *bridged) error { return here.rename("lan0") },
		"static routes":            (*bridged).routeOver,
		"router advertisements":    func(here, there *bridged) error { return there.advertise(here) },
		"a default route by an RA": (*bridged).defaultOver,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			long := recursionPhase
			if *whole {
				long = recursionWhole
			}
			w := newTown(t, 2*time.Minute+long)
			a, b := w.blocked()
			a.do(func() error { return change(a, b) })
			b.do(func() error { return change(b, a) })
			a.carriesOnce(b, long)
		})
	}
}

// blocked starts two edges whose direct way is blocked, as ports of bridges with addresses.
func (w *town) blocked() (a, b *bridged) {
	w.t.Helper()
	hosts := []*lab.Host{lab.Must(w.Host("left", "203.0.113.11", "2001:db8:11::1")), lab.Must(w.Host("right", "203.0.113.12", "2001:db8:12::1"))}
	blockDirect(w.t, w, hosts[0], hosts[1])
	var list []*bridged
	for i, h := range hosts {
		must(w.t, h.Do(func() error { return addBridge(byte(i + 1)) }))
		e := &bridged{member: w.join(h, overIPv4, "--bridge", "br0", "-M", "1500"), inside: insideOf(byte(i + 1)), name: "br0"}
		w.await(e.Program, "ready")
		list = append(list, e)
	}
	return list[0], list[1]
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
	w.await(left.Program, "[E19]") // its log may come a moment later than its status
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

// defaultOver sets the default route that a router advertisement of the other end would
// set, before all others.
func (e *bridged) defaultOver(other *bridged) error {
	br, err := netlink.LinkByName(e.name)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{
		LinkIndex: br.Attrs().Index, Gw: other.inside6(), Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}, Protocol: unix.RTPROT_RA, Priority: 1,
	})
}

// advertise has this end send the other one a router advertisement (RFC 4861, section
// 4.2), by which it is a router, and the network that the other one is to reach it in
// outside is on the bridge's link; and waits until the other end's kernel believes that.
// Here is the namespace of the other end.
func (e *bridged) advertise(other *bridged) error {
	for name, value := range map[string]string{"accept_ra": "2", "accept_ra_pinfo": "1"} {
		if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", other.name, name), []byte(value), 0); err != nil {
			return err
		}
	}
	outside := e.Host.Addrs()[1]
	for stop := time.Now().Add(answerWithin); time.Now().Before(stop); time.Sleep(100 * time.Millisecond) {
		e.do(func() error { return sendAdvertisement(e.name, netip.PrefixFrom(outside, 64).Masked(), onLink) })
		routes, err := netlink.RouteGet(outside.AsSlice())
		if err != nil || len(routes) == 0 {
			continue
		}
		if link, err := netlink.LinkByIndex(routes[0].LinkIndex); err == nil && link.Attrs().Name == other.name {
			return nil
		}
	}
	return fmt.Errorf("%s: no route to %s by %s", other.Name, outside, other.name)
}

// The flags of a prefix in a router advertisement (RFC 4861, section 4.6.2): it is on the
// link, and hosts make addresses of it.
const (
	onLink       = 0x80
	forAddresses = 0x40
)

// sendAdvertisement sends a router advertisement by a link, with a prefix of 64 bits.
func sendAdvertisement(link string, prefix netip.Prefix, flags byte) error {
	const valid = "\x00\x00\x07\x08" // half an hour
	b := []byte("\x40\x00\x07\x08" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x03\x04\x40" + string([]byte{flags}) + valid + valid + "\x00\x00\x00\x00")
	return lab.Advertise(link, append(b, prefix.Addr().AsSlice()...))
}

// carriesOnce sends frames from one bridge to the other for a while, and wants the
// underlay to carry each of them once, by the supernode.
func (e *bridged) carriesOnce(other *bridged, long time.Duration) {
	t := e.town.t
	t.Helper()
	e.meet(other.inside, answerWithin) // whatever has to be resolved, is
	began := e.sent()
	conn, err := e.Host.Dial(e.town.ctx, "udp", netip.AddrPortFrom(other.inside, 9).String())
	must(t, err)
	defer conn.Close()
	payload, frames := make([]byte, 1200), 0
	for stop, look := time.Now().Add(long), time.Now(); time.Now().Before(stop); time.Sleep(5 * time.Millisecond) {
		if time.Since(look) > time.Second {
			look = time.Now()
			e.onlyRelayed(other)
		}
		if _, err := conn.Write(payload); err == nil || !errors.Is(err, unix.ECONNREFUSED) { // that of the one before
			frames++
		}
	}
	inner, outer := float64(frames*(14+20+8+len(payload))), float64(e.sent()-began)
	t.Logf("the underlay carried %.3f times the %.0f bytes of %d frames in %v", outer/inner, inner, frames, long)
	if outer < 0.9*inner || outer > recursionShare*inner {
		t.Errorf("frames of %.0f bytes became %.0f outside", inner, outer)
	}
	e.onlyRelayed(other)
}

// onlyRelayed fails the test if one of the two edges reaches the other one by anything but
// the supernode.
func (e *bridged) onlyRelayed(other *bridged) {
	e.town.t.Helper()
	for _, way := range [][2]*bridged{{e, other}, {other, e}} {
		if p := way[0].path(way[1].member); p != control.PathRelay {
			e.town.t.Errorf("%s reaches %s by %s", way[0].Name, way[1].Name, p)
		}
	}
}

// sent returns how many bytes have left the host by its link to the internet.
func (m *member) sent() (bytes uint64) { return m.device(lab.HostLink).Statistics.TxBytes }

// must ends the test if there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
