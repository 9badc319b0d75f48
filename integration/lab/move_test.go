//go:build linux

package lab

import (
	"net/netip"
	"testing"
)

// After another address was given to the router, the host is seen there, and
// nothing comes in by the old address or by an old mapping.
func TestRenumber(t *testing.T) {
	Require(t)
	for _, kind := range []Kind{PortRestricted, AddressRestricted, EndpointIndependentHairpin, SymmetricBlock(512), SymmetricRandom} {
		t.Run(kind.String(), func(t *testing.T) {
			l := ForTest(t)
			r := newReflector(t, l)
			router := Must(l.Router("home", "198.51.100.1", kind))
			host, neighbour := Must(router.Host("host")), Must(router.Host("neighbour"))
			c := listen(t, host, "192.168.1.10:5000")
			before := seen(t, c, r[0][0])
			to := netip.MustParseAddr("198.51.100.77")
			if err := router.Renumber(to); err != nil {
				t.Fatal(err)
			}
			if router.WAN() != to {
				t.Errorf("the router has %s", router.WAN())
			}
			for _, old := range []netip.AddrPort{before, netip.AddrPortFrom(to, before.Port())} {
				if arrives(t, r[0][0], c, old, false) {
					t.Errorf("%s still leads in", old)
				}
			}
			after := seen(t, c, r[0][0])
			if after.Addr() != to || (after.Port() != before.Port() && kind.mapping == onNothing) {
				t.Errorf("before %s, after %s", before, after)
			}
			if !arrives(t, r[0][0], c, after, true) {
				t.Error("no answer after the change")
			}
			if got, want := classify(t, host, neighbour, r), behaviors[kind]; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestRenumberSubscriber(t *testing.T) {
	l, carrier, home, a, _ := subscribers(t, PortRestricted, PortRestricted)
	r := newReflector(t, l)
	c := listen(t, a, "192.168.1.10:5000")
	before := seen(t, c, r[0][0])
	if err := home.Renumber(netip.MustParseAddr("100.64.0.99")); err != nil {
		t.Fatal(err)
	}
	after := seen(t, c, r[0][0])
	if after == before || after.Addr() != carrier.WAN() {
		t.Errorf("before %s, after %s", before, after)
	}
	if !arrives(t, r[0][0], c, after, true) {
		t.Error("no answer after the change")
	}
}

// A host that moves has other addresses and goes on, in a home with another
// NAT and on the internet; what it left is as if it had never been there.
func TestRoam(t *testing.T) {
	l := ForTest(t)
	r := newReflector(t, l)
	home1 := Must(l.Router("home1", "198.51.100.1", PortRestricted, "2001:db8:a::/64"))
	home2 := Must(l.Router("home2", "198.51.100.2", PortReplacing, "10.7.0.0/16"))
	host := Must(home1.Host("host"))
	if err := l.DisableOffloads(); err != nil {
		t.Fatal(err)
	}
	stays := listen(t, host, "0.0.0.0:5000") // open all the time
	places := []struct {
		plug    func() error
		addr    string
		publish netip.Addr
	}{
		{func() error { return home2.Plug(host) }, "10.7.0.10", home2.WAN()},
		{func() error { return l.Plug(host, "192.0.2.1") }, "192.0.2.1", netip.MustParseAddr("192.0.2.1")},
		{func() error { return home1.Plug(host) }, "192.168.1.11", home1.WAN()},
	}
	if from := seen(t, stays, r[0][0]); from.Addr() != home1.WAN() {
		t.Errorf("seen as %s", from)
	}
	for _, p := range places {
		if err := host.Unplug(); err != nil {
			t.Fatal(err)
		}
		if _, err := stays.WriteToUDPAddrPort([]byte("lost"), local(r[0][0])); err == nil || len(host.Addrs()) > 0 {
			t.Errorf("unplugged it can send, and has %s", host.Addrs())
		}
		if err := host.Unplug(); err == nil {
			t.Error("it was unplugged twice")
		}
		if err := p.plug(); err != nil {
			t.Fatal(err)
		}
		if host.Addr() != netip.MustParseAddr(p.addr) {
			t.Errorf("it has %s, want %s", host.Addrs(), p.addr)
		}
		from := seen(t, stays, r[0][0])
		if from.Addr() != p.publish || !arrives(t, r[0][0], stays, from, true) {
			t.Errorf("seen as %s, want %s, and answered", from, p.publish)
		}
		if names := Must(host.Offloads(HostLink)); len(names) > 0 {
			t.Errorf("the new link has the offloads %v", names)
		}
	}
	if err := l.DisableOffloads(); err != nil {
		t.Errorf("links that are gone are still looked at: %v", err)
	}
}

// Hosts that are isolated from each other reach the router and what is behind
// it; and each other by its hairpin, if it has one.
func TestIsolation(t *testing.T) {
	Require(t)
	for _, kind := range []Kind{PortRestricted, EndpointIndependentHairpin} {
		t.Run(kind.String(), func(t *testing.T) {
			l := ForTest(t)
			r := newReflector(t, l)
			router := Must(l.Router("home", "198.51.100.1", kind))
			a := Must(router.Host("a"))
			check := func(step string, to *Host, want bool) {
				t.Helper()
				if got := reaches(t, a, to.Addr(), want); got != want {
					t.Errorf("%s: a reaches %s: %v", step, to.Name(), got)
				}
			}
			b := Must(router.Host("b"))
			check("at first", b, true)
			if err := router.SetIsolation(true); err != nil {
				t.Fatal(err)
			}
			late := Must(router.Host("late"))
			check("isolated", b, false)
			check("isolated", late, false)
			if got := hairpinOf(t, a, late, r); got != behaviors[kind].hairpin {
				t.Errorf("the hairpin of isolated hosts: %q", got)
			}
			if err := router.SetIsolation(false); err != nil {
				t.Fatal(err)
			}
			check("no longer isolated", b, true)
			check("no longer isolated", late, true)
		})
	}
}
