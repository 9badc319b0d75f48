package tap

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addressesOf lists an interface's addresses but for link-local ones, sorted.
func addressesOf(t *testing.T, name string) []string {
	t.Helper()
	list, err := netlink.AddrList(linkOf(t, name), netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range list {
		if !a.IP.IsLinkLocalUnicast() {
			out = append(out, a.IPNet.String())
		}
	}
	slices.Sort(out)
	return out
}

func wantAddresses(t *testing.T, name string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := addressesOf(t, name); !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
}

func TestSetAddress(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "edge0"})
	steps := []struct {
		set  string
		want []string
	}{
		{"10.64.0.7/24", []string{"10.64.0.7/24"}},
		{"fd00:1:2:3::7/64", []string{"10.64.0.7/24", "fd00:1:2:3::7/64"}},
		{"10.64.0.7/24", []string{"10.64.0.7/24", "fd00:1:2:3::7/64"}},   // no change
		{"10.64.0.12/24", []string{"10.64.0.12/24", "fd00:1:2:3::7/64"}}, // same subnet
		{"10.65.0.1/16", []string{"10.65.0.1/16", "fd00:1:2:3::7/64"}},   // another one
		{"10.65.0.1/24", []string{"10.65.0.1/24", "fd00:1:2:3::7/64"}},   // another length
		{"fd00:1:2:3::7/48", []string{"10.65.0.1/24", "fd00:1:2:3::7/48"}},
		{"::ffff:10.1.2.3/120", []string{"10.1.2.3/24", "fd00:1:2:3::7/48"}},
		{"10.1.2.4/32", []string{"10.1.2.4/32", "fd00:1:2:3::7/48"}},
	}
	for _, s := range steps {
		done := make(chan error)
		// From another thread, which is in another namespace.
		go func() { done <- d.SetAddress(netip.MustParsePrefix(s.set)) }()
		if err := <-done; err != nil {
			t.Fatalf("SetAddress(%s): %v", s.set, err)
		}
		wantAddresses(t, "edge0", s.want...)
	}
	if err := d.RemoveAddress(netip.MustParsePrefix("10.1.2.4/32")); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveAddress(netip.MustParsePrefix("10.1.2.4/32")); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	wantAddresses(t, "edge0", "fd00:1:2:3::7/48")
}

func TestIPv6AddressIsUsableAtOnce(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "edge0"})
	if err := d.SetAddress(netip.MustParsePrefix("fd00::7/64")); err != nil {
		t.Fatal(err)
	}
	list, err := netlink.AddrList(linkOf(t, "edge0"), netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.IP.Equal(net.ParseIP("fd00::7")) {
			if a.Flags&unix.IFA_F_NODAD == 0 || a.Flags&unix.IFA_F_TENTATIVE != 0 {
				t.Errorf("flags %#x", a.Flags)
			}
			return
		}
	}
	t.Error("address not there")
}

func TestSetAddressRefuses(t *testing.T) {
	enterNamespace(t)
	small := open(t, Config{Name: "edge0", MTU: 1000})
	for _, s := range []string{"0.0.0.0/0", "224.0.0.1/24", "ff02::1/64", "::/64"} {
		if err := small.SetAddress(netip.MustParsePrefix(s)); err == nil {
			t.Errorf("%s was taken", s)
		}
	}
	if err := small.SetAddress(netip.Prefix{}); err == nil {
		t.Error("no address was taken")
	}
	err := small.SetAddress(netip.MustParsePrefix("fd00::1/64"))
	if err == nil || !strings.Contains(err.Error(), "IPv6 is off there (its MTU is below 1280") {
		t.Errorf("IPv6 on an MTU of 1000: %v", err)
	}
}

// TestAddressesOfOthersStay checks that Close takes off ours and nothing else.
func TestAddressesOfOthersStay(t *testing.T) {
	enterNamespace(t)
	addTAP(t, "edge0", 0)
	l := linkOf(t, "edge0")
	for _, s := range []string{"10.9.9.9/24", "fd00::9/64"} {
		addr, err := netlink.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(l, addr); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, Config{Name: "edge0"})
	for _, s := range []string{"10.9.9.9/24", "fd00::1/64"} {
		if err := d.SetAddress(netip.MustParsePrefix(s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SetAddress(netip.MustParsePrefix("fd00::9/48")); err == nil || !strings.Contains(err.Error(), "another prefix length") {
		t.Errorf("the same IPv6 address with another length: %v", err)
	}
	wantAddresses(t, "edge0", "10.9.9.9/24", "fd00::1/64", "fd00::9/64")
	d.Close()
	wantAddresses(t, "edge0", "10.9.9.9/24", "fd00::9/64")
}

func TestOverlapInNamespace(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "wlan0"})
	if err := d.SetAddress(netip.MustParsePrefix("10.64.3.4/16")); err != nil {
		t.Fatal(err)
	}
	itself, err := net.InterfaceByName("wlan0")
	if err != nil {
		t.Fatal(err)
	}
	name, other, ok, _ := Overlap(netip.MustParsePrefix("10.64.0.0/24"), func(ifindex int) bool { return ifindex != itself.Index })
	if !ok || name != "wlan0" || other.String() != "10.64.0.0/16" {
		t.Errorf("got %s %s %v", name, other, ok)
	}
	if name, _, ok, _ := Overlap(netip.MustParsePrefix("10.64.0.0/24"), func(ifindex int) bool { return ifindex == itself.Index }); ok {
		t.Errorf("the excepted interface was reported as %s", name)
	}
	if err := netlink.LinkSetDown(linkOf(t, d.Name())); err != nil {
		t.Fatal(err)
	}
	if name, _, ok, _ := Overlap(netip.MustParsePrefix("10.64.0.0/24"), nil); ok {
		t.Errorf("%s is down", name)
	}
}

// Routes count like the networks of interfaces, whichever of the two is wider; default
// routes do not, whole or in halves, nor do those of the device itself.
func TestOverlapOfRoutes(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "vpn0"})
	if err := d.SetAddress(netip.MustParsePrefix("192.0.2.1/24")); err != nil {
		t.Fatal(err)
	}
	itself, err := net.InterfaceByName("vpn0")
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "172.16.9.0/24", "100.64.0.0/10"} {
		_, dst, _ := net.ParseCIDR(to)
		r := netlink.Route{LinkIndex: itself.Index, Dst: dst}
		if to == "100.64.0.0/10" {
			r = netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE}
		}
		if err := netlink.RouteAdd(&r); err != nil {
			t.Fatalf("%s: %v", to, err)
		}
	}
	for overlay, want := range map[string]string{
		"10.64.0.0/20": "10.0.0.0/8", "172.16.0.0/12": "172.16.9.0/24", "192.0.2.128/25": "192.0.2.0/24",
		"192.168.0.0/24": "", "100.64.0.0/24": "", "203.0.113.0/24": "",
	} {
		name, other, ok, _ := Overlap(netip.MustParsePrefix(overlay), nil)
		if ok != (want != "") || ok && (name != "vpn0" || other.String() != want) {
			t.Errorf("%s: %s %s %v, want %q", overlay, name, other, ok, want)
		}
		if name, other, ok, _ := Overlap(netip.MustParsePrefix(overlay), func(ifindex int) bool { return ifindex == itself.Index }); ok {
			t.Errorf("%s overlaps the device's own %s (%s)", overlay, other, name)
		}
	}
}

// A host with hundreds of containers lists their interfaces once, not once for each: the
// control loop waits for the answer. A list for each allocates 5.6 times as much where there
// are three times as many interfaces, on a machine however busy.
func TestOverlapOfManyInterfaces(t *testing.T) {
	enterNamespace(t)
	look := func() {
		if name, _, ok, _ := Overlap(netip.MustParsePrefix("10.64.0.0/24"), nil); ok {
			t.Fatalf("it overlaps %s", name)
		}
	}
	few := 0.0
	for i := range 300 {
		if i == 100 {
			few = testing.AllocsPerRun(3, look)
		}
		l := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprint("br", i), Flags: net.FlagUp}}
		if err := netlink.LinkAdd(l); err != nil {
			t.Fatal(err)
		}
		addr, _ := netlink.ParseAddr(fmt.Sprintf("172.16.%d.%d/32", i/250, 1+i%250))
		if err := netlink.AddrAdd(l, addr); err != nil {
			t.Fatal(err)
		}
	}
	many := testing.AllocsPerRun(3, look)
	if name, _, ok, _ := Overlap(netip.MustParsePrefix("172.16.1.40/29"), nil); !ok || !strings.HasPrefix(name, "br2") {
		t.Errorf("the last interfaces are not found: %s %v", name, ok)
	}
	t.Logf("%v allocations with 100 interfaces, %v with 300", few, many)
	if many > 4*few {
		t.Errorf("%v allocations with 100 interfaces, %v with 300", few, many)
	}
}
