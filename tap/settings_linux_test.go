package tap

import (
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
)

// Routers are heard by an interface only if that is wanted, and then their default route
// comes after every other one; a device that was there before has its settings back.
func TestRouters(t *testing.T) {
	enterNamespace(t)
	made := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "edge0"}, Mode: netlink.TUNTAP_MODE_TAP}
	if err := netlink.LinkAdd(made); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/edge0/accept_ra", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		heard bool
		want  string
	}{{"edge0", false, "0"}, {"edge0", true, "2"}, {"edge1", false, "0"}, {"edge1", true, "2"}} {
		d := open(t, Config{Name: tt.name, MAC: testMAC, Routers: tt.heard})
		if got := setting(t, tt.name, "accept_ra"); got != tt.want {
			t.Errorf("%s, heard %v: accept_ra is %s", tt.name, tt.heard, got)
		}
		if metric := "ra_defrtr_metric"; tt.heard && hasSetting(tt.name, metric) {
			if got := setting(t, tt.name, metric); got != "65536" {
				t.Errorf("%s: the metric of a default route is %s", tt.name, got)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := setting(t, "edge0", "accept_ra"); got != "1" {
		t.Errorf("a device that was there has an accept_ra of %s afterwards", got)
	}
}

// A device that was there gets our alias and loses it again, but keeps one of its own.
func TestAliasOfAnExistingDevice(t *testing.T) {
	enterNamespace(t)
	made := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "edge0"}, Mode: netlink.TUNTAP_MODE_TAP}
	if err := netlink.LinkAdd(made); err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"", "the admin's"} {
		if err := netlink.LinkSetAlias(made, own); err != nil {
			t.Fatal(err)
		}
		d := open(t, Config{Name: "edge0", MAC: testMAC, Alias: "an edge"})
		want := own
		if own == "" {
			want = "an edge"
		}
		if got := linkOf(t, "edge0").Attrs().Alias; got != want {
			t.Errorf("with %q: the alias is %q", own, got)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if got := linkOf(t, "edge0").Attrs().Alias; got != own {
			t.Errorf("with %q: the alias is %q afterwards", own, got)
		}
	}
}

// An address that another program takes away is put back, at once and after the
// interface was down; what cannot be is told with its reason.
func TestAddressPutBack(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "edge0", MAC: testMAC})
	lease, ula := netip.MustParsePrefix("10.64.0.7/24"), netip.MustParsePrefix("fd00:77::7/64")
	for _, p := range []netip.Prefix{lease, ula} {
		if err := d.SetAddress(p); err != nil {
			t.Fatal(err)
		}
	}
	w := watch(t, d)
	<-w.told
	has := func(p netip.Prefix) bool {
		t.Helper()
		list, err := netlink.AddrList(linkOf(t, "edge0"), netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if prefixOf(&list[i]) == p {
				return true
			}
		}
		return false
	}
	for _, p := range []netip.Prefix{lease, ula} {
		if err := netlink.AddrDel(linkOf(t, "edge0"), netlinkAddr(p)); err != nil {
			t.Fatal(err)
		}
		w.after(says("the address " + p.String() + " was taken from edge0 by another program at"))
		if !has(p) {
			t.Errorf("%s is not back", p)
		}
	}
	if err := netlink.LinkSetDown(linkOf(t, "edge0")); err != nil {
		t.Fatal(err)
	}
	w.after(says("edge0 was set down by another program at"))
	if !has(lease) || !has(ula) {
		t.Error("the addresses are not back after the interface was down")
	}
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/edge0/disable_ipv6", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	w.after(says("the address fd00:77::7/64 was taken from edge0 by another program, and that cannot be set right: IPv6 is off there: sysctl -w net.ipv6.conf.edge0.disable_ipv6=0"))
}
