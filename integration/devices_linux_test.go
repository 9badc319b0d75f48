package integration

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/lab"
)

// hearsRouters undoes what the lab sets: the host takes router advertisements on every
// interface that comes, as Linux does unless it is told otherwise.
func hearsRouters(h *lab.Host) error {
	return h.Do(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_ra", []byte("1"), 0) })
}

// advertise sends one router advertisement by an interface of a host: it is the router of
// everything, and of a prefix that addresses are made of.
func (m *member) advertise(device string) error {
	return m.Host.Do(func() error {
		return sendAdvertisement(device, netip.MustParsePrefix("2001:db8:bad::/64"), onLink|forAddresses)
	})
}

// routed reports whether a host has an IPv6 default route by a device, and an address of
// what advertise advertises.
func (m *member) routed(device string) (route, address bool) {
	route = m.town.sh(m.Host, "ip -6 route show default dev "+device) != ""
	return route, strings.Contains(m.town.sh(m.Host, "ip -6 addr show dev "+device), "2001:db8:bad:")
}

// A router advertisement on the overlay, by the community's device or by a link, does
// nothing to a host that would take it: no route, no address. With --accept-ra it gives
// an address and a default route, by which the underlay does not go.
func TestRouterAdvertisement(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	ids := map[string]*crypto.Identity{"left": w.identify("left"), "right": w.identify("right"), "takes": w.identify("takes")}
	join := func(name string, addresses []string, more ...string) *member {
		h := lab.Must(w.Host(name, addresses...))
		must(t, hearsRouters(h))
		return w.join(h, overIPv6, more...)
	}
	right := join("right", []string{"203.0.113.12", "2001:db8:12::1"}, "--p2p", ids["left"].ShortID()+"=mesh0", "--p2p", ids["takes"].ShortID()+"=mesh1")
	left := join("left", []string{"203.0.113.11", "2001:db8:11::1"}, "--p2p", ids["right"].ShortID()+"=mesh0")
	takes := join("takes", []string{"203.0.113.13", "2001:db8:13::1"}, "--p2p", ids["right"].ShortID()+"=mesh1", "--accept-ra", ids["right"].ShortID())
	for _, m := range []*member{left, takes} {
		m.meet(right.addr(), answerWithin)
		right.meet(m.addr(), answerWithin)
	}
	for _, device := range []string{"mesh0", "mesh1"} {
		right.awaitCarrier(device, true, 20*time.Second)
	}
	left.awaitCarrier("mesh0", true, 20*time.Second)
	takes.awaitCarrier("mesh1", true, 20*time.Second)

	w.eventually("routers are heard with --accept-ra, by both devices", func() bool {
		for _, device := range []string{overlay, "mesh0", "mesh1"} {
			if right.advertise(device) != nil {
				return false // its link-local address is not ready yet
			}
		}
		time.Sleep(200 * time.Millisecond)
		route, address := takes.routed(overlay)
		routeByLink, addressByLink := takes.routed("mesh1")
		return route && address && routeByLink && addressByLink
	})
	for _, device := range []string{overlay, "mesh0"} {
		if route, address := left.routed(device); route || address {
			t.Errorf("%s: a default route: %v, an address: %v", device, route, address)
		}
	}
	if got := w.sh(takes.Host, "ip -6 route get 2001:db8:12::1"); !strings.Contains(got, "dev "+lab.HostLink) {
		t.Errorf("the underlay goes by %s", got)
	}
	takes.meet(right.addr(), answerWithin)
	if notes := strings.Join(takes.status().Notes, "\n"); strings.Contains(notes, "[E19]") {
		t.Errorf("status says %q", notes)
	}
}

// What others do to the device of a link is told, and set right where nobody can mean it.
// A link that is set down stays down: whoever routes by it may have set it.
func TestLinkDeviceChanged(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	far := w.identify("far")
	m := w.join(w.home("left", 1, lab.PortRestricted), overIPv4, "--p2p", far.ShortID()+"=mesh0")
	m.addr()
	first := w.link(m.Host, "mesh0")
	for _, step := range []struct{ typed, note string }{
		{"ip link set mesh0 address 02:00:00:00:00:07", "mesh0 was given the MAC 02:00:00:00:00:07"},
		{"ip link set mesh0 mtu 1300", "mesh0 has an MTU of 1300 now"},
		{"ip link set mesh0 down", "mesh0 was set down by another program: it carries nothing"},
		{"ip link set mesh0 name mesh9", "mesh0 was renamed to mesh9"},
		{"ip link add br0 up type bridge; ip link set mesh9 master br0", "mesh9 was made a port of br0"},
	} {
		w.sh(m.Host, step.typed)
		if err := m.noteWithin(step.note, told); err != nil {
			t.Errorf("%s: %v", step.typed, err)
		}
	}
	if l := w.link(m.Host, "mesh9"); l.up() || l.Address != first.Address {
		t.Errorf("the device is %+v, was %+v", l, first)
	}
	w.sh(m.Host, "ip link del mesh9")
	if err := m.noteWithin("the link mesh0 has failed", told); err != nil {
		t.Error(err)
	}
	if len(m.status().Prefixes) == 0 {
		t.Error("the edge does not go on without the link")
	}
}

// Addresses that another program takes from the device are put back, and so are those of
// IPv6 after it was set down.
func TestAddressTaken(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	m := w.join(w.home("left", 1, lab.PortRestricted), overIPv4)
	lease, own := m.prefix(), m.addr6()
	has := func(what string) {
		t.Helper()
		w.eventually(what, func() bool {
			list := strings.Join(w.addresses(m.Host, overlay), " ")
			return strings.Contains(list, lease.String()) && strings.Contains(list, own.String()+"/")
		})
	}
	for _, step := range []struct{ typed, note string }{
		{"ip addr del " + lease.String() + " dev edge0", "the address " + lease.String() + " was taken from edge0 by another program"},
		{"ip addr flush dev edge0", "was taken from edge0 by another program"},
		{"ip link set edge0 down", "edge0 was set down by another program"},
	} {
		w.sh(m.Host, step.typed)
		if err := m.noteWithin(step.note, told); err != nil {
			t.Errorf("%s: %v", step.typed, err)
		}
		has("the addresses are there after " + step.typed)
	}
}
