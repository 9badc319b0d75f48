package underlay

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/nat/nat64"
	"hedgerow/transport"
)

// translated are the addresses of a host without IPv4 and of ipv4only.arpa on networks with
// a NAT64.
var translated = map[string][]string{
	"64:ff9b::/96":          {"64:ff9b::192.0.0.170", "64:ff9b::192.0.0.171"},
	"2001:db8:122:344::/64": {"2001:db8:122:344:c0:0:aa00::", "2001:db8:122:344:c0:0:ab00::"},
}

// routers is what advertises prefixes.
type routers chan func(told func(p nat64.Prefix, lifetime time.Duration))

func (c routers) watch(ctx context.Context, told func(p nat64.Prefix, lifetime time.Duration)) error {
	for {
		select {
		case say := <-c:
			say(told)
		case <-ctx.Done():
			return nil
		}
	}
}

func (c routers) advertise(prefix string, lifetime time.Duration) {
	p, _ := nat64.NewPrefix(netip.MustParsePrefix(prefix))
	c <- func(told func(p nat64.Prefix, lifetime time.Duration)) { told(p, lifetime) }
}

// inSixRig is inRig on a host without IPv4.
func inSixRig(t *testing.T, f func(r *rig, n *resolver, c routers)) {
	n, c := &resolver{names: make(map[string][]netip.Addr)}, routers(nil)
	inRig(t, func(r *rig, cfg *Config) {
		c = make(routers)
		n.r, r.hosts = r, []netip.Addr{netip.MustParseAddr("2001:db8::7")}
		cfg.Resolver, cfg.Transports.NAT64, cfg.Network.Routers = n, new(transport.NAT64), c.watch
	}, func(r *rig) { f(r, n, c) })
}

// reaches checks which prefix is in use, "" for none, and whether public and private
// addresses are reached by it.
func (r *rig) reaches(prefix string, public, private bool) {
	r.Helper()
	x := r.cfg.Transports.NAT64
	got := ""
	if p := x.Prefix(); p.IsValid() {
		got = p.String()
	}
	through := func(a string) bool { return x.Outward(addr(a)).Addr().Is6() }
	if got != prefix || through("198.51.100.1:1") != public || through("10.0.0.1:1") != private || through("100.64.0.1:1") {
		r.Errorf("%v: the NAT64 has %q, public %v, private %v; want %q", r.since(), got, through("198.51.100.1:1"), through("10.0.0.1:1"), prefix)
	}
}

// A prefix stays while no name server answers, and goes when one says that there is none.
func TestNAT64Unanswered(t *testing.T) {
	inSixRig(t, func(r *rig, n *resolver, _ routers) {
		n.find(nat64.Name, translated["64:ff9b::/96"]...)
		r.Start(time.Now(), nil)
		r.run(time.Second)
		n.mu(func() { n.hangs = true })
		r.run(20 * time.Minute)
		r.reaches("64:ff9b::/96", true, false)
		n.mu(func() { n.hangs, n.names = false, nil })
		r.run(time.Minute)
		r.reaches("", false, false)
	})
}

// While there is no route to IPv4 addresses the prefix is asked for, until there is an
// answer, and then every 15 minutes; everything is measured again when it is another one.
// The one in use stays while it is among several.
func TestNAT64ByDNS(t *testing.T) {
	inSixRig(t, func(r *rig, n *resolver, _ routers) {
		r.Start(time.Now(), nil)
		r.run(5 * time.Second)
		r.reaches("", false, false)
		if r.NAT64.Missing() != 4 || r.Addresses.Policy().Missing != 4 {
			t.Error("IPv4 is not missing")
		}
		n.find(nat64.Name, translated["64:ff9b::/96"]...)
		r.told("0s candidates 1")
		r.run(5 * time.Second)
		r.reaches("64:ff9b::/96", true, false)
		r.logged("reached through the NAT64 of this network", true)
		r.told("7s network changed")
		if r.NAT64.Missing() != 0 || r.Addresses.Policy().Missing != 0 || r.Addresses.Policy().Probeable(addr("[64:ff9b::198.51.100.1]:7000")) {
			t.Error("IPv4 is missing, or an address of the prefix may be probed")
		}
		n.find(nat64.Name, translated["2001:db8:122:344::/64"]...)
		slices.Reverse(n.names[nat64.Name])
		r.run(20 * time.Minute)
		r.reaches("64:ff9b::/96", true, false)
		delete(n.names, nat64.Name)
		n.find(nat64.Name, translated["2001:db8:122:344::/64"]...)
		r.told()
		r.NetworkChanged(time.Now())
		r.run(0)
		r.reaches("2001:db8:122:344::/64", true, true)
		if got := n.times(nat64.Name); !slices.Equal(got, []string{"0s ip6", "1s ip6", "3s ip6", "7s ip6", "15m7s ip6", "20m10s ip6"}) {
			t.Errorf("asked at %v", got)
		}
		r.told("20m10s network changed", "20m10s network changed")
		r.hosts = append(r.hosts, netip.MustParseAddr("192.0.2.7"))
		r.run(31 * time.Second)
		r.reaches("", false, false)
		r.logged("no longer reached through a NAT64", true)
		r.run(time.Hour)
		if n := len(n.times(nat64.Name)); n != 6 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A router's advertisement goes before the answer of a name server, and ends with its
// lifetime, or when the router takes it back. On a host with IPv4 nothing is used.
func TestNAT64ByRouter(t *testing.T) {
	inSixRig(t, func(r *rig, n *resolver, c routers) {
		n.find(nat64.Name, translated["64:ff9b::/96"]...)
		r.Start(time.Now(), nil)
		r.run(time.Second)
		r.reaches("64:ff9b::/96", true, false)
		go c.advertise("2001:db8:1::/96", time.Minute)
		r.run(time.Second)
		r.reaches("2001:db8:1::/96", true, true)
		r.run(time.Minute)
		r.reaches("64:ff9b::/96", true, false)
		go c.advertise("2001:db8:1::/96", time.Hour)
		r.run(time.Second)
		for _, lifetime := range []time.Duration{0, time.Hour} { // another one ends, and is advertised beside it
			go c.advertise("2001:db8:2::/96", lifetime)
			r.run(time.Second)
			r.reaches("2001:db8:1::/96", true, true)
		}
		delete(n.names, nat64.Name)
		r.NetworkChanged(time.Now()) // perhaps to another network: the next advertisement may be far
		r.run(time.Second)
		r.reaches("2001:db8:1::/96", true, true)
		go c.advertise("2001:db8:2::/96", time.Hour)
		r.run(time.Second)
		r.reaches("2001:db8:2::/96", true, true)
		go c.advertise("2001:db8:1::/96", time.Hour)
		r.run(time.Second)
		r.reaches("2001:db8:2::/96", true, true)
		n.find(nat64.Name, translated["2001:db8:122:344::/64"]...)
		r.NetworkChanged(time.Now())
		r.run(time.Second)
		r.reaches("2001:db8:122:344::/64", true, true)
		n.names[nat64.Name] = nil
		n.find(nat64.Name, translated["64:ff9b::/96"]...)
		r.NetworkChanged(time.Now())
		go c.advertise("2001:db8:1::/96", time.Hour)
		r.run(time.Second)
		r.reaches("2001:db8:1::/96", true, true)
		go c.advertise("2001:db8:1::/96", 0)
		r.run(time.Second)
		r.reaches("64:ff9b::/96", true, false)
		r.hosts = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
		r.NetworkChanged(time.Now())
		go c.advertise("2001:db8:1::/96", time.Hour)
		r.run(time.Second)
		r.reaches("", false, false)
		if r.NAT64.Missing() != 6 {
			t.Error("IPv6 is not missing")
		}
	})
}

// Where there is a route to IPv4 addresses nothing is asked, whatever addresses there are,
// and a host whose only IPv4 address leads nowhere reaches private ones itself.
func TestNAT64Routes(t *testing.T) {
	inSixRig(t, func(r *rig, n *resolver, _ routers) {
		n.find(nat64.Name, translated["2001:db8:122:344::/64"]...)
		routes := Routes{IPv4: true, IPv6: true}
		r.cfg.Own.Routes = func() Routes { return routes }
		r.Start(time.Now(), nil)
		r.run(time.Minute)
		r.reaches("", false, false)
		if got := n.times(nat64.Name); len(got) > 0 || r.NAT64.Missing() != 0 {
			t.Errorf("asked at %v", got)
		}
		r.hosts = append(r.hosts, netip.MustParseAddr("172.17.0.1"))
		routes.IPv4 = false
		r.NetworkChanged(time.Now())
		r.run(0)
		r.reaches("2001:db8:122:344::/64", true, false)
	})
}

// A name waits until it is known whether its addresses are those of a NAT64, 3 s at most:
// then they are the IPv4 addresses that they stand for, none twice.
func TestNamesAwaitNAT64(t *testing.T) {
	inSixRig(t, func(r *rig, n *resolver, _ routers) {
		n.find("sn.example", "64:ff9b::198.51.100.1", "2001:db8::5", "198.51.100.1")
		var got []string
		x := r.Names.New("ip", "sn.example", func(now time.Time, list []netip.Addr, err error) {
			var s []string
			for _, a := range list {
				s = append(s, a.String())
			}
			got = append(got, r.since().String()+" "+strings.Join(s, " "))
		})
		r.Start(time.Now(), nil)
		x.LookUp(time.Now())
		r.run(time.Second / 2) // the prefix is not found: nothing to wait for
		n.find(nat64.Name, translated["64:ff9b::/96"]...)
		r.run(time.Second)
		x.LookUp(time.Now())
		r.run(time.Second)
		n.mu(func() { n.slow = 10 * time.Second })
		r.NetworkChanged(time.Now()) // the name server thinks about the prefix for long
		x.LookUp(time.Now())
		r.run(5 * time.Second)
		n.mu(func() { n.slow = 2 * time.Second })
		r.NetworkChanged(time.Now())
		x.LookUp(time.Now())
		r.run(5 * time.Second)
		want := []string{
			"0s 64:ff9b::c633:6401 2001:db8::5 198.51.100.1", "1.5s 198.51.100.1 2001:db8::5", "5.5s 198.51.100.1 2001:db8::5", "9.5s 198.51.100.1 2001:db8::5",
		}
		if !slices.Equal(got, want) {
			t.Errorf("\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
