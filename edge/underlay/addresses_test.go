package underlay

import (
	"hedgerow/transport"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Addresses are looked at every 30 s, and peers are told once an event of what
// changed in it.
func TestCandidates(t *testing.T) {
	inRig(t, func(_ *rig, cfg *Config) {
		cfg.Own.Static = []netip.AddrPort{addr("203.0.113.5:4000")}
	}, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(0)
		r.told("0s candidates 1")
		r.candidates("static 203.0.113.5:4000", "host 192.0.2.7:7000")
		if list := r.Addresses.HostCandidates(); !slices.Equal(list, []netip.AddrPort{addr("192.0.2.7:7000")}) {
			t.Errorf("host candidates are %v", list)
		}
		r.hosts = append(r.hosts, netip.MustParseAddr("2001:db8::7"))
		r.run(30*time.Second - 1)
		r.told()
		r.run(1)
		r.told("30s candidates 2")
		r.candidates("static 203.0.113.5:4000", "host 192.0.2.7:7000", "host [2001:db8::7]:7000")

		now := time.Now()
		r.Addresses.setMapped(now, addr("203.0.113.6:4001"))
		r.Addresses.Forbid(now, netip.MustParsePrefix("192.0.2.0/24"))
		r.Addresses.Forbid(now, netip.MustParsePrefix("192.0.2.0/24"))
		r.run(0)
		r.told("30s candidates 4") // two changes, one message
		r.candidates("static 203.0.113.5:4000", "mapped 203.0.113.6:4001", "host [2001:db8::7]:7000")
		r.Addresses.setMapped(now, netip.AddrPort{})
		r.run(time.Hour)
		r.told("30s candidates 5")
		if p := r.Addresses.Policy(); p.Probeable(addr("192.0.2.9:7000")) || p.Probeable(netip.AddrPortFrom(transport.SidePrefix().Addr().Next(), 7000)) {
			t.Error("an overlay or a side address may be probed")
		}
		r.Addresses.SetSupernodes([]netip.AddrPort{addr("198.51.100.1:7654")})
		if r.Addresses.Policy().Probeable(addr("198.51.100.1:7654")) || r.Addresses.Budget() == nil {
			t.Error("a supernode may be probed, or there is no budget")
		}
	})
}

// A list that cannot be made leaves the last one, and is tried again.
func TestInterfacesFail(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(0)
		r.hosts, r.hostsErr = nil, errText("netlink is out of order")
		r.run(30 * time.Second)
		r.candidates("host 192.0.2.7:7000")
		r.logged("netlink is out of order", true)
		r.hosts, r.hostsErr = []netip.Addr{netip.MustParseAddr("192.0.2.8")}, nil
		r.run(30 * time.Second)
		r.candidates("host 192.0.2.8:7000")
	})
}

// What servers see counts for 2 minutes, and before what peers see.
func TestObserved(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(time.Second)
		r.told("0s candidates 1")
		a, now := r.Addresses, time.Now()
		side := netip.AddrPortFrom(transport.SidePrefix().Addr().Next(), 1)
		a.ObservedByPeer(now, side, addr("203.0.113.66:1111"))
		a.ObservedByPeer(now, addr("10.0.0.1:7000"), addr("203.0.113.66:1112"))
		a.ObservedByPeer(now, addr("[fe80::1%eth0]:7000"), addr("[2001:db8::66]:1113"))
		a.ObservedByPeer(now, addr("198.51.100.77:7000"), addr("203.0.113.9:1114"))
		a.gather(now)
		r.run(0)
		r.candidates("host 192.0.2.7:7000", "reflexive 203.0.113.9:1114")
		a.Observed(now, side, addr("203.0.113.66:1115"))
		a.Observed(now, addr("198.51.100.1:7654"), netip.AddrPort{})
		a.Observed(now, addr("198.51.100.1:7654"), addr("0.0.0.0:1116"))
		a.Observed(now, addr("198.51.100.1:7654"), addr("203.0.113.9:2000"))
		r.run(0)
		r.told("1s candidates 2", "1s candidates 3")
		r.candidates("host 192.0.2.7:7000", "reflexive 203.0.113.9:2000")
		r.run(2*time.Minute + lookEvery)
		r.candidates("host 192.0.2.7:7000")
	})
}

// Where a server sees a private address, as one on our own LAN, what peers see counts as
// well, that of the other family alone where a server sees one of this; two addresses at most,
// those first that most peers see, and none that the internet does not reach.
func TestObservedInside(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(time.Second)
		r.told("0s candidates 1")
		a, now := r.Addresses, time.Now()
		a.Observed(now, addr("192.0.2.10:7654"), addr("192.168.9.7:7000"))
		r.run(0)
		r.told("1s candidates 2")
		a.ObservedByPeer(now, addr("198.51.100.77:7000"), addr("192.168.9.9:1111"))
		a.ObservedByPeer(now, addr("198.51.100.77:7000"), addr("203.0.113.9:1114"))
		r.run(0)
		r.told("1s candidates 3") // the first at once
		r.candidates("host 192.0.2.7:7000", "reflexive 192.168.9.7:7000", "reflexive 203.0.113.9:1114")
		for port := range uint16(3) {
			a.ObservedByPeer(now, netip.AddrPortFrom(addr("198.51.100.78:1").Addr(), 7000+port), addr("203.0.113.66:2000"))
			a.ObservedByPeer(now, netip.AddrPortFrom(addr("198.51.100.79:1").Addr(), 7000+port), netip.AddrPortFrom(addr("203.0.113.67:1").Addr(), 3000+port))
		}
		a.ObservedByPeer(now, addr("[2001:db8::77]:7000"), addr("[2001:db8::9]:1115"))
		r.run(30 * time.Second)
		r.candidates("host 192.0.2.7:7000", "reflexive 192.168.9.7:7000", "reflexive 203.0.113.66:2000", "reflexive 203.0.113.67:3002", "reflexive [2001:db8::9]:1115")
		a.Observed(time.Now(), addr("198.51.100.1:7654"), addr("203.0.113.9:2000"))
		r.run(0)
		r.candidates("host 192.0.2.7:7000", "reflexive 203.0.113.9:2000", "reflexive 192.168.9.7:7000", "reflexive [2001:db8::9]:1115")
	})
}

// The mapping behaviour is told when it changes.
func TestMapping(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(time.Second)
		r.told("0s candidates 1")
		now := time.Now()
		r.Addresses.Observed(now, addr("198.51.100.1:7654"), addr("203.0.113.9:2000"))
		r.Addresses.Observed(now, addr("198.51.100.2:7654"), addr("203.0.113.9:2000"))
		r.run(0)
		r.told("1s mapping endpoint-independent", "1s candidates 2")
		r.run(time.Second)
		r.Addresses.Observed(time.Now(), addr("198.51.100.2:7655"), addr("203.0.113.9:2001"))
		r.run(0)
		r.told("2s mapping address-and-port-dependent", "2s candidates 3")
		if got := r.Addresses.Mapping().String(); got != "address-and-port-dependent" {
			t.Error(got)
		}
		r.NetworkChanged(time.Now())
		r.run(0)
		r.told("2s mapping unknown", "2s network changed", "2s candidates 4")
	})
}

// The addresses of this host, whatever they are: none of the loopback.
func TestInterfaceAddresses(t *testing.T) {
	list, err := InterfaceAddresses("overlay0")()
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(list, netip.Addr.IsLoopback) {
		t.Errorf("%v", list)
	}
	for _, a := range list { // and none when its interface is the overlay's
		for _, i := range interfacesOf(t, a) {
			without, err := InterfaceAddresses(i)()
			if err != nil || slices.Contains(without, a) {
				t.Errorf("%v is listed without %s: %v", a, i, err)
			}
		}
	}
}

// interfacesOf returns the only interface that has an address, or none.
func interfacesOf(t *testing.T, a netip.Addr) (names []string) {
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addrs, _ := i.Addrs()
		for _, b := range addrs {
			if p, err := netip.ParsePrefix(b.String()); err == nil && p.Addr().Unmap() == a {
				names = append(names, i.Name)
			}
		}
	}
	if len(names) != 1 {
		return nil
	}
	return names
}
