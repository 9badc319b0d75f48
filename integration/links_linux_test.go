package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// identify makes the identity that an edge will have, before it is started.
func (w *town) identify(name string) *crypto.Identity {
	w.t.Helper()
	dir := filepath.Join(w.Dir, name, "town")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	id, _, err := crypto.LoadIdentity(filepath.Join(dir, "id"))
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// carrier reports whether a device of a host has a carrier, and its link-local address.
func (m *member) carrier(device string) (up bool, local netip.Addr) {
	m.town.t.Helper()
	err := m.Host.Do(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		const lowerUp = 0x10000 // IFF_LOWER_UP
		up = link.Attrs().RawFlags&lowerUp != 0
		list, err := netlink.AddrList(link, netlink.FAMILY_V6)
		for _, a := range list {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.IsLinkLocalUnicast() {
				local = ip.WithZone(device)
			}
		}
		return err
	})
	if err != nil {
		m.town.t.Fatal(err)
	}
	return up, local
}

// awaitCarrier waits until a device has a carrier, or has none.
func (m *member) awaitCarrier(device string, want bool, within time.Duration) (local netip.Addr) {
	m.town.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		up, local := m.carrier(device)
		if up == want && (!want || local.IsValid()) {
			return local
		}
		if time.Since(began) > within {
			m.town.t.Fatalf("%s: the carrier of %s is %v for %v", m.Name, device, up, within)
		}
	}
}

// peer returns what an edge says of another one.
func (m *member) peer(name string) control.Peer {
	m.town.t.Helper()
	peers, err := m.town.Peers(m.town.ctx, m.Program)
	if err != nil {
		m.town.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Name == name {
			return p
		}
	}
	return control.Peer{}
}

// A link is a device for one peer: its carrier says whether the peer is reached, what is
// sent on it comes out there and nowhere else, whatever the path, and the community's
// device goes on beside it.
func TestLinks(t *testing.T) {
	t.Parallel()
	w := newTown(t, 170*time.Second)
	ids := map[string]*crypto.Identity{}
	for _, name := range []string{"hub", "near", "far"} {
		ids[name] = w.identify(name)
	}
	to := func(name, device string) string { return ids[name].ShortID() + "=" + device }
	hub := w.join(w.home("hub", 1, lab.PortRestricted), overIPv4, "--p2p", to("near", "mesh-near"), "--p2p", to("far", "mesh-far"))
	hub.addr()
	for _, device := range []string{"mesh-near", "mesh-far"} {
		if up, local := hub.carrier(device); up || local.IsValid() {
			t.Errorf("%s has a carrier before its peer is there, and the address %v", device, local)
		}
	}
	near := w.join(w.home("near", 2, lab.PortRestricted), overIPv4, "--p2p", to("hub", "mesh-hub"))
	// Only the supernode joins IPv4 with IPv6.
	far := w.join(lab.Must(w.Host("far", "2001:db8:6::1")), overIPv6, "--p2p", to("hub", "mesh-hub"))
	near.addr() // they have opened their devices
	far.addr()
	ends := []struct {
		of     *member
		device string
		other  *member
		far    string
	}{{hub, "mesh-near", near, "mesh-hub"}, {hub, "mesh-far", far, "mesh-hub"}}
	for _, e := range ends {
		e.of.awaitCarrier(e.device, true, 20*time.Second)
		there := e.other.awaitCarrier(e.far, true, 20*time.Second)
		e.of.meet(there.WithZone(e.device), 10*time.Second)
		e.other.meet(hub.awaitCarrier(e.device, true, answerWithin).WithZone(e.far), answerWithin)
		if err := w.floodsOne(e.of, e.device, e.other, near, far); err != nil {
			t.Error(err)
		}
		e.of.meet(e.other.addr(), answerWithin) // by the community's device
	}
	hub.reach(near, control.PathDirect)
	direct, relayed := hub.peer("near").Link, hub.peer("far").Link
	if direct == nil || relayed == nil || direct.Cost == 0 || direct.Cost >= relayed.Cost || direct.Device != "mesh-near" || !relayed.Carrier {
		t.Errorf("direct %+v, relayed %+v", direct, relayed)
	}
	if path := hub.path(far); path != control.PathRelay {
		t.Errorf("the path to the far one is %s", path)
	}

	// A dead peer is noticed, and one that is back.
	if err := near.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	hub.awaitCarrier("mesh-near", false, 60*time.Second)
	t.Logf("a killed peer's link was down after %v", time.Since(began))
	if up, _ := hub.carrier("mesh-far"); !up {
		t.Error("the other link went down, too")
	}
	if err := near.Start(w.ctx); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	hub.awaitCarrier("mesh-near", true, 20*time.Second)
	hub.meet(near.awaitCarrier("mesh-hub", true, 20*time.Second).WithZone("mesh-near"), 10*time.Second)
	t.Logf("and was up again %v after its start", time.Since(began))

	// One that leaves says good-bye.
	if err := far.Stop(); err != nil {
		t.Fatal(err)
	}
	hub.awaitCarrier("mesh-far", false, 5*time.Second)
}

// floodsOne sends to a group on a link, and wants that at the other end and on no other
// device of anybody.
func (w *town) floodsOne(from *member, device string, to *member, all ...*member) error {
	captures := map[string]*lab.Capture{}
	for _, m := range all {
		for _, d := range []string{"mesh-hub", overlay} {
			captures[m.Name+" "+d] = lab.Must(m.Host.Capture(d))
		}
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	_, _ = from.Host.Ping(ctx, netip.MustParseAddr("ff02::4242").WithZone(device)) // nobody answers
	group := []byte{0x33, 0x33, 0, 0, 0x42, 0x42}
	for where, c := range captures {
		if err := c.Stop(); err != nil {
			return err
		}
		got := 0
		for _, p := range c.Packets() {
			if bytes.HasPrefix(p.Frame, group) {
				got++
			}
		}
		want := 0
		if where == to.Name+" mesh-hub" {
			want = 1
		}
		if got != want {
			return fmt.Errorf("a frame to a group on %s: %d came on %s, want %d", device, got, where, want)
		}
	}
	return nil
}

// With auto each member has a device for each other one, under a number that it keeps.
func TestAutoLinks(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	router := lab.Must(w.Router("home", "198.51.100.1", lab.PortRestricted))
	names := []string{"one", "two", "three"}
	members := map[string]*member{}
	for _, name := range names {
		members[name] = w.join(lab.Must(router.Host(name)), overIPv4, "--p2p", "auto:mesh%d")
	}
	device := func(at, of string) string {
		t.Helper()
		for w.ctx.Err() == nil {
			if l := members[at].peer(of).Link; l != nil && l.Carrier {
				return l.Device
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("%s has no link with %s", at, of)
		return ""
	}
	meet := func() (devices map[string]string) {
		t.Helper()
		devices = map[string]string{}
		for _, from := range names {
			members[from].addr()
			for _, to := range names {
				if to == from {
					continue
				}
				here := device(from, to)
				devices[from+" "+to] = here
				there := members[to].awaitCarrier(device(to, from), true, answerWithin)
				members[from].meet(there.WithZone(here), answerWithin)
			}
		}
		return devices
	}
	before := meet()
	if err := members["one"].Stop(); err != nil {
		t.Fatal(err)
	}
	if err := members["one"].Start(w.ctx); err != nil {
		t.Fatal(err)
	}
	after := meet()
	for _, to := range []string{"one two", "one three"} {
		if before[to] != after[to] || !strings.HasPrefix(after[to], "mesh") {
			t.Errorf("%s: the device was %q and is %q", to, before[to], after[to])
		}
	}
	if before["one two"] == before["one three"] {
		t.Errorf("both have %s", before["one two"])
	}
}

// Who has no link to a peer that has one is told what to type. One whose device was deleted
// goes on without it, and says so.
func TestLinkOfOneSide(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	left, right := w.identify("left"), w.identify("right")
	router := lab.Must(w.Router("home", "198.51.100.1", lab.PortRestricted))
	a := w.join(lab.Must(router.Host("left")), overIPv4, "--p2p", right.ShortID()+"=mesh0")
	b := w.join(lab.Must(router.Host("right")), overIPv4)
	a.addr() // it has opened its devices
	b.addr()
	a.awaitCarrier("mesh0", true, 20*time.Second)
	b.awaitNote("start this edge with --p2p " + left.ShortID() + "=DEVICE, too") // the kernel's first frames come within a second
	if err := a.Host.Do(func() error {
		link, err := netlink.LinkByName("mesh0")
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	}); err != nil {
		t.Fatal(err)
	}
	a.awaitNote("the link mesh0 has failed")
	a.meet(b.addr(), answerWithin)
}
