package edge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// leased has the supernode grant a lease at a time.
func (v *testServer) leased(now time.Time, lease string) {
	v.tb.Helper()
	m := ack(1)
	m.Lease = netip.MustParsePrefix(lease)
	v.say(now, m.Append(nil))
}

// homeNetwork is the finder of a host with a LAN, and a route into a company.
func homeNetwork(p netip.Prefix) (Network, bool) {
	for _, n := range []Network{
		{Interface: "wlan0", Prefix: netip.MustParsePrefix("192.168.1.0/24")}, {Interface: "vpn0", Prefix: netip.MustParsePrefix("10.0.0.0/9")},
		{Interface: "lan0", Prefix: netip.MustParsePrefix("192.0.2.0/24")},
	} {
		if n.Prefix.Overlaps(p) {
			return n, true
		}
	}
	return Network{}, false
}

// TestSupernodeLeases has a lying supernode lease whatever it likes: the device gets
// nothing that the user could not have meant, and the user reads why and what to type.
func TestSupernodeLeases(t *testing.T) {
	for _, c := range []struct {
		lease string
		cfg   Address
		why   string // empty: it is taken
	}{
		{lease: "10.200.0.7/20"}, {lease: "172.31.255.1/16"}, {lease: "192.168.2.7/24"}, {lease: "100.64.0.9/10"},
		{lease: "198.51.100.9/24"}, {lease: "198.18.0.9/15"}, {lease: "10.200.0.2/30"},
		{lease: "129.1.1.1/1", why: "covers more than a /8"},
		{lease: "8.8.8.1/24", why: "--allow-lease 8.8.8.0/24"},
		{lease: "1.1.1.1/8", why: "--allow-lease 1.0.0.0/8"},
		{lease: "44.128.0.9/10", why: "--allow-lease 44.128.0.0/10"}, // README.md
		{lease: "0.0.0.1/0", why: "covers more than a /8"},
		{lease: "10.1.2.3/7", why: "covers more than a /8"},
		{lease: "172.16.0.1/8", why: "--allow-lease 172.0.0.0/8"},
		{lease: "192.168.2.7/15", why: "--allow-lease 192.168.0.0/15"},
		{lease: "169.254.1.1/16", why: "--allow-lease 169.254.0.0/16"},
		{lease: "127.0.0.53/8", why: "not an address that a host can have"},
		{lease: "224.0.0.1/24", why: "not an address that a host can have"},
		{lease: "240.0.0.1/8", why: "--allow-lease"},
		{lease: "255.255.255.255/32", why: "not an address that a host can have"},
		{lease: "10.200.0.0/20", why: "a network and no host"},
		{lease: "10.200.15.255/20", why: "not an address that a host can have"},
		{lease: "10.200.0.7/31", why: "without anybody else"},
		{lease: "10.200.0.7/32", why: "without anybody else"},
		{lease: "fd00::7/64", why: "not an address that a host can have"},
		{lease: "2001:db8::7/0", why: "not an address that a host can have"},
		{lease: "192.168.1.77/24", why: "overlaps wlan0 (192.168.1.0/24)"},
		{lease: "192.168.1.130/25", why: "overlaps wlan0 (192.168.1.0/24)"},
		{lease: "192.168.0.7/16", why: "overlaps wlan0"},
		{lease: "10.64.0.7/20", why: "overlaps vpn0 (10.0.0.0/9)"},
		{lease: "203.0.113.7/24", why: "holds 203.0.113.1"}, // the supernode's own address
		{lease: "192.0.2.7/24", why: "overlaps lan0 (192.0.2.0/24)"},
		{lease: "8.8.8.1/24", cfg: Address{Allow: []netip.Prefix{netip.MustParsePrefix("8.0.0.0/8")}}},
		{lease: "8.8.8.1/24", cfg: Address{Allow: []netip.Prefix{netip.MustParsePrefix("8.8.8.0/25")}}, why: "--allow-lease 8.8.8.0/24"},
		{lease: "192.168.1.77/24", cfg: Address{Allow: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}}},
		{lease: "127.0.0.53/8", cfg: Address{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, why: "not an address"},
		{lease: "8.8.8.1/24", cfg: Address{Mode: AddressPrefer, Prefix: netip.MustParsePrefix("8.8.8.9/24")}},
		{lease: "8.8.4.1/24", cfg: Address{Mode: AddressPrefer, Prefix: netip.MustParsePrefix("8.8.8.9/24")}, why: "--allow-lease 8.8.4.0/24"},
		{lease: "8.8.8.1/24", cfg: Address{Mode: AddressStatic, Prefix: netip.MustParsePrefix("8.8.8.1/24")}},
		{lease: "8.8.8.1/8", cfg: Address{Mode: AddressStatic, Prefix: netip.MustParsePrefix("8.8.8.1/24")}, why: "static:8.8.8.1/24"},
		{lease: "10.200.0.7/20", cfg: Address{Mode: AddressStatic, Prefix: netip.MustParsePrefix("10.200.0.8/20")}, why: "static:10.200.0.8/20"},
		{lease: "10.200.0.7/20", cfg: Address{Mode: AddressNone}, why: "-a dhcp"},
	} {
		v := newServer(t, func(cfg *Config) {
			cfg.Address, cfg.Host.Networks = c.cfg, homeNetwork
		})
		// The static address, which nobody has granted, goes with the refusal.
		before := slices.DeleteFunc(slices.Clone(v.device.have), func(p netip.Prefix) bool { return p == c.cfg.Prefix })
		v.answer(noon)
		for range 3 {
			v.leased(noon, c.lease)
		}
		lease := netip.MustParsePrefix(c.lease)
		told, notes := v.told(control.EventLeaseRefused), v.status(noon).Notes
		if has := slices.Contains(v.device.have, lease); has != (c.why == "") {
			t.Errorf("%s, %+v: the device has it: %v", c.lease, c.cfg, has)
		}
		if c.why == "" {
			if len(told) != 0 || len(notes) != 0 {
				t.Errorf("%s, %+v: told %v, noted %q", c.lease, c.cfg, told, notes)
			}
			continue
		}
		if !slices.Equal(v.device.have, before) || !v.s.registered() || v.state.lease().IsValid() {
			t.Errorf("%s: the device has %v, registered %v, keeps %v", c.lease, v.device.have, v.s.registered(), v.state.lease())
		}
		if len(told) != 1 || told[0].Prefix != lease || !strings.Contains(told[0].Text, c.why) {
			t.Errorf("%s, %+v: told %+v, want %q", c.lease, c.cfg, told, c.why)
		}
		if len(notes) != 1 || !strings.Contains(notes[0], c.why) || !strings.Contains(notes[0], c.lease) || !strings.Contains(notes[0], "sn:7654") {
			t.Errorf("%s: noted %q", c.lease, notes)
		}
	}
}

// TestLeasedByTurns has a supernode lease another network with every answer: it is
// told of twice a minute at most, a good one in between is taken, and stands.
func TestLeasedByTurns(t *testing.T) {
	v := newServer(t, nil)
	v.answer(noon)
	now := noon
	for i := range 600 {
		now = now.Add(100 * time.Millisecond)
		v.leased(now, netip.PrefixFrom(netip.AddrFrom4([4]byte{8, byte(i), byte(i >> 8), 1}), 24).String())
	}
	if n := len(v.told(control.EventLeaseRefused)); n != 2 {
		t.Errorf("told %d times in a minute", n)
	}
	v.leased(now, "10.64.0.7/24")
	if len(v.status(now).Notes) != 0 || !slices.Contains(v.device.have, netip.MustParsePrefix("10.64.0.7/24")) {
		t.Errorf("the device has %v, notes %q", v.device.have, v.status(now).Notes)
	}
	v.leased(now, "9.9.9.9/24")
	if len(v.status(now).Notes) != 1 || v.servers.addresses.lease.String() != "10.64.0.7/24" {
		t.Errorf("the lease is %v, notes %q", v.servers.addresses.lease, v.status(now).Notes)
	}
}

// TestLeaseMeetsNetwork carries a host with a lease into a network that it collides
// with, and home again: the address goes and comes back, and peers are told.
func TestLeaseMeetsNetwork(t *testing.T) {
	var away bool
	lease := netip.MustParsePrefix("10.64.0.7/24")
	v := newServer(t, func(c *Config) {
		c.Host.Networks = func(p netip.Prefix) (Network, bool) {
			return Network{Interface: "wlan0", Prefix: netip.MustParsePrefix("10.64.0.0/16")}, away
		}
	})
	v.answer(noon)
	v.leased(noon, lease.String())
	forbidden := func() bool {
		return v.underlay.Addresses.Policy().ProbeRefusal(netip.MustParseAddrPort("10.64.0.1:4000")) == address.RefusedOverlay
	}
	if v.servers.addresses.lease != lease || !forbidden() {
		t.Fatalf("the lease is %v", v.servers.addresses.lease)
	}
	p := v.met(2, "roof")
	for _, told := range []bool{true, false} { // by an event of the network, or by nobody
		away = true
		if told {
			v.underlay.NetworkChanged(noon)
			v.settle(noon)
		} else {
			v.pass(noon.Add(leaseEvery))
		}
		if v.servers.addresses.lease.IsValid() || slices.Contains(v.device.have, lease) || forbidden() || len(v.status(noon).Notes) != 1 {
			t.Errorf("told %v: the lease is %v, the device has %v, notes %q", told, v.servers.addresses.lease, v.device.have, v.status(noon).Notes)
		}
		if v.servers.addresses.wanted(new(supernode)) != lease || p.sessions.introduce {
			t.Errorf("wants %v; the peer was told: %v", v.servers.addresses.wanted(new(supernode)), !p.sessions.introduce)
		}
		away = false
		v.underlay.NetworkChanged(noon)
		v.settle(noon)
		if v.servers.addresses.lease != lease || !slices.Contains(v.device.have, lease) || !forbidden() || len(v.status(noon).Notes) != 0 {
			t.Errorf("told %v: home again the lease is %v, the device has %v", told, v.servers.addresses.lease, v.device.have)
		}
	}
}

// TestLeaseAndAddresses holds a lease against the host's addresses where its networks are
// not known: one in the network of another address is refused, the device's own address is
// no other. Where they are known, an address alone is no collision: it is the overlay's, of
// a bridge that the device is a port of.
func TestLeaseAndAddresses(t *testing.T) {
	const lease = "10.64.0.7/24"
	for _, c := range []struct {
		networks bool
		address  string
		taken    bool
	}{{false, "10.64.0.9", false}, {false, "10.64.1.9", true}, {true, "10.64.0.9", true}} {
		at := []netip.Addr{netip.MustParseAddr(c.address)}
		v := newServer(t, func(cfg *Config) {
			if c.networks {
				cfg.Host.Networks = func(netip.Prefix) (Network, bool) { return Network{}, false }
			}
			cfg.Host.Addresses = func() ([]netip.Addr, error) { return at, nil }
		})
		v.answer(noon)
		v.leased(noon, lease)
		if got := v.servers.addresses.lease.IsValid(); got != c.taken {
			t.Errorf("%+v: taken %v, notes %q", c, got, v.status(noon).Notes)
		}
		at = append(at, netip.MustParsePrefix(lease).Addr())
		if v.pass(noon.Add(leaseEvery)); v.servers.addresses.lease.IsValid() != c.taken {
			t.Errorf("%+v: half a minute later taken %v, notes %q", c, !c.taken, v.status(noon).Notes)
		}
	}
}

// TestOneSupernodeCannotEnd has one of two supernodes say that the static address is
// taken: Run goes on as long as the other one may grant it.
func TestOneSupernodeCannotEnd(t *testing.T) {
	v := newServer(t, func(c *Config) {
		c.Supernodes = append(c.Supernodes, Supernode{Name: "other:7654", Host: "203.0.113.9", Port: 7654, Key: &[32]byte{9}})
		c.Address = Address{Mode: AddressStatic, Prefix: netip.MustParsePrefix("10.64.0.7/24")}
	})
	v.answer(noon)
	m := protocol.Nak{Code: protocol.CodeIPTaken, Retry: 65535, Prefix: v.cfg.Address.Prefix}
	v.say(noon, m.Append(nil))
	if v.servers.addresses.taken || len(v.told(control.EventAddressRefused)) != 1 {
		t.Error("one of two supernodes ends the edge")
	}
	if at := v.s.grant.retry.At(); at.After(noon.Add(nakLatest)) {
		t.Errorf("asked again at %v", at)
	}
	v.servers.list[1].reported.refused = protocol.CodeIPTaken
	v.servers.addresses.refused(noon)
	if !v.servers.addresses.taken {
		t.Error("both refuse, and the edge goes on")
	}
}

// TestRenewalBounds holds how often and how seldom a supernode may have us register.
func TestRenewalBounds(t *testing.T) {
	for seconds, want := range map[uint32]time.Duration{1: renewSoonest, 20: renewSoonest, 120: time.Minute, 86400: renewLatest, 1<<32 - 1: renewLatest} {
		v := newServer(t, nil)
		v.answer(noon)
		m := ack(1)
		m.LeaseSeconds = seconds
		v.say(noon, m.Append(nil))
		if at := v.s.grant.renew.At(); !at.Equal(noon.Add(want)) {
			t.Errorf("a lease of %d s is renewed at %v", seconds, at)
		}
	}
}

// TestTURNWhereNoneCanBe has a supernode hand out TURN servers at addresses of others:
// of itself, of a peer that we reach directly, of the user's own network. None is asked,
// and what comes from there goes where it always went.
func TestTURNWhereNoneCanBe(t *testing.T) {
	v := registered(t, nil)
	p := v.neighbour(2)
	for _, at := range []string{atServer.String(), p.view.Route().Direct.String(), "192.168.1.1:3478", "127.0.0.1:3478", "224.0.0.1:3478", "198.51.100.7:25"} {
		before := v.drops()["turn-address"]
		m := ack(3)
		m.TURN = protocol.TURNServer{Addr: netip.MustParseAddrPort(at), User: "u", Password: "p"}
		v.say(noon, m.Append(nil))
		if n := v.drops()["turn-address"]; n != before+1 {
			t.Errorf("a TURN server at %s was not refused", at)
		}
	}
}
