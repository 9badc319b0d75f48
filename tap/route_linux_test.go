package tap

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

// SetRoutes sets what is missing, takes away what is not wanted any more, in whatever
// table, and leaves others' routes; a device that is opened anew finds those of before.
func TestSetRoutes(t *testing.T) {
	enterNamespace(t)
	route := func(prefix, via string, table int) Route {
		return Route{Prefix: netip.MustParsePrefix(prefix), Via: netip.MustParseAddr(via), Table: table}
	}
	addTAP(t, "vpn0", 0)
	d := open(t, Config{Name: "vpn0"})
	for _, a := range []string{"10.64.0.1/24", "fd00::1/64"} {
		if err := d.SetAddress(netip.MustParsePrefix(a)); err != nil {
			t.Fatal(err)
		}
	}
	link, err := netlink.LinkByName("vpn0")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := netlink.ParseAddr("10.77.0.1/24") // without one the kernel drops all routes of IPv4
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(link, theirs); err != nil {
		t.Fatal(err)
	}
	others, _ := netlink.ParseIPNet("172.16.0.0/16")
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: others}); err != nil {
		t.Fatal(err)
	}
	want := func(what string, on *Device, list ...Route) {
		t.Helper()
		if err := on.SetRoutes(list); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		have, err := on.links.ourRoutes(link.Attrs().Index)
		for i := range list {
			list[i].Table = list[i].table()
		}
		order := func(a, b Route) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) }
		slices.SortFunc(have, order)
		slices.SortFunc(list, order)
		if err != nil || !slices.Equal(have, list) {
			t.Errorf("%s: %v, want %v; %v", what, have, list, err)
		}
	}
	first := []Route{route("192.168.7.0/24", "10.64.0.2", 0), route("fd77::/48", "fd00::2", 0), route("0.0.0.0/0", "10.64.0.2", 7655), route("192.168.8.0/24", "fd00::2", 0)}
	want("first", d, first...)
	want("the same", d, first...)
	want("another next hop, and fewer", d, route("192.168.7.0/24", "10.64.0.3", 0), route("::/0", "fd00::2", 7655))
	if HasRule(true, 7655) || HasRule(false, 7655) || !HasRule(true, 254) {
		t.Error("rules that are not there, or one that is")
	}
	if err := d.SetRoutes([]Route{route("192.168.9.0/24", "10.65.0.1", 0), route("192.168.7.0/24", "10.64.0.3", 0)}); err == nil {
		t.Error("a next hop that is on no network of the device is none")
	}
	want("what others set stays", d, route("192.168.7.0/24", "10.64.0.3", 0))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, Config{Name: "vpn0"})
	want("of a process that is gone", again)
	list, err := netlink.RouteList(link, netlink.FAMILY_V4)
	if err != nil || !slices.ContainsFunc(list, func(r netlink.Route) bool { return r.Dst.String() == others.String() }) {
		t.Errorf("others' route is not in %v, %v", list, err)
	}
	again.Close()
	if err := again.SetRoutes(nil); err != ErrClosed {
		t.Errorf("a closed device: %v", err)
	}
	if l, err := netlink.LinkByName("vpn0"); err == nil {
		_ = netlink.LinkDel(l)
	}
}

// A device that was set down has its addresses again when it is up.
func TestAddressesAgain(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "vpn0"})
	address := netip.MustParsePrefix("fd00::1/64")
	if err := d.SetAddress(address); err != nil {
		t.Fatal(err)
	}
	w := watch(t, d)
	w.after(func(c Condition) bool { return c.MTU != 0 })
	link, err := netlink.LinkByName("vpn0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetDown(link); err != nil {
		t.Fatal(err)
	}
	w.after(says("vpn0 was set down"))
	if present, _, err := d.netif.has(address); !present || err != nil {
		t.Errorf("the address is gone, %v", err)
	}
}

// What keeps packets from networks behind a host is named.
func TestUnforwarded(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "vpn0"})
	networks := []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}
	s := &sight{device: new(link)}
	s.forwarding.ip4, s.forwarding.ip6 = forwards("vpn0")
	if list := s.unforwarded(networks, "vpn0"); len(list) != 1 {
		t.Errorf("%q", list)
	}
	if list := s.unforwarded(append(networks, netip.MustParsePrefix("fd77::/48")), "vpn0"); len(list) != 2 {
		t.Errorf("%q", list)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	s.forwarding.ip4, _ = forwards("vpn0")
	if list := s.unforwarded(networks, "vpn0"); len(list) != 0 {
		t.Errorf("%q", list)
	}
	s.forwarding.chains = []chain{
		{family: bothFamily, table: "fw", name: "fwd", drops: true}, {family: ip4Family, table: "t", name: "n", drops: true, names: true},
		{family: ip6Family, table: "t", name: "n", drops: true}, {family: ip4Family, table: "t", name: "n"},
	}
	if list := s.unforwarded(networks, "vpn0"); len(list) != 1 {
		t.Errorf("%q", list)
	}
	if list := s.unforwarded(nil, "vpn0"); len(list) != 0 {
		t.Errorf("nothing is behind this host: %q", list)
	}
	_ = d
}
