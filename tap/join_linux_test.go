package tap

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// bridged makes a bridge in the test's namespace, with one end of a veth pair as its
// port, both of an MTU, and both up.
func bridged(t *testing.T, name, port string, mtu int) {
	t.Helper()
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port, MTU: mtu}, PeerName: port + "h"}
	for _, err := range []error{
		netlink.LinkAdd(br), netlink.LinkAdd(pair), netlink.LinkSetMTU(pair, mtu), netlink.LinkSetMaster(pair, br),
		netlink.LinkSetUp(br), netlink.LinkSetUp(pair), netlink.LinkSetUp(linkOf(t, port+"h")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// setting reads a setting of IPv6 of an interface.
func setting(t *testing.T, device, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", device, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// asked returns what the kernel says of an interface.
func asked(t *testing.T, name string) *link {
	t.Helper()
	l, err := openLinks()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	found, err := l.byName(name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A port has the MTU of its segment, the cost of a slow link, no IPv6 and a MAC that
// the bridge does not take, and goes without a trace.
func TestJoin(t *testing.T) {
	for _, mtu := range []int{1500, 9000} {
		enterNamespace(t)
		bridged(t, "br0", "eth1", mtu)
		before := asked(t, "br0")
		fits, err := Port{Bridge: "br0"}.MTU(0, 9000)
		if err != nil || fits != mtu {
			t.Fatalf("%d, %v", fits, err)
		}
		d := open(t, Config{Name: "edge0", MAC: testMAC, MTU: fits, Port: Port{Bridge: "br0"}})
		own := asked(t, "edge0")
		if own.master != before.index || own.port.cost != DefaultCost || own.mtu != mtu || !own.up || own.mac != portMAC(testMAC) {
			t.Errorf("the port is %+v", own)
		}
		if d.MAC() != testMAC {
			t.Errorf("the edge's MAC is %x", d.MAC())
		}
		if b := asked(t, "br0"); b.mac != before.mac || b.mtu != mtu {
			t.Errorf("the bridge was %+v and is %+v", before, b)
		}
		for _, s := range quietSettings {
			if got := setting(t, "edge0", s.name); got != s.value {
				t.Errorf("%s is %s", s.name, got)
			}
		}
		if list, err := netlink.AddrList(linkOf(t, "edge0"), netlink.FAMILY_ALL); err != nil || len(list) > 0 {
			t.Errorf("the port has addresses: %v, %v", list, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if b := asked(t, "br0"); asked(t, "edge0") != nil || b.mac != before.mac || b.mtu != mtu {
			t.Errorf("afterwards the bridge is %+v", b)
		}
	}
}

// A device that an administrator made is as before when the edge ends, and so is the
// bridge that had the edge's addresses.
func TestJoinExisting(t *testing.T) {
	enterNamespace(t)
	bridged(t, "br0", "eth1", 1500)
	made := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "edge0"}, Mode: netlink.TUNTAP_MODE_TAP}
	if err := netlink.LinkAdd(made); err != nil {
		t.Fatal(err)
	}
	before := asked(t, "edge0")
	d := open(t, Config{Name: "edge0", MAC: testMAC, MTU: 1500, Port: Port{Bridge: "br0", Cost: 7, Address: true}})
	lease := netip.MustParsePrefix("10.64.0.7/24")
	if err := d.SetAddress(lease); err != nil {
		t.Fatal(err)
	}
	if own := asked(t, "edge0"); own.master == 0 || own.port.cost != 7 || own.mac != portMAC(testMAC) {
		t.Errorf("the port is %+v", own)
	}
	list, err := netlink.AddrList(linkOf(t, "br0"), netlink.FAMILY_V4)
	if err != nil || len(list) != 1 || list[0].ValidLft == 0 || list[0].ValidLft > addressLife {
		t.Errorf("the bridge has %+v, %v", list, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if own := asked(t, "edge0"); own.master != 0 || own.mac != before.mac || setting(t, "edge0", "disable_ipv6") != "0" {
		t.Errorf("left as %+v, was %+v", own, before)
	}
	if list, err := netlink.AddrList(linkOf(t, "br0"), netlink.FAMILY_V4); err != nil || len(list) != 0 {
		t.Errorf("left on the bridge: %+v, %v", list, err)
	}
}

// A device whose edge was killed is a port still. The next edge goes on with it, and
// leaves it as a device that is none.
func TestJoinLeft(t *testing.T) {
	enterNamespace(t)
	bridged(t, "br0", "eth1", 1500)
	mac := portMAC(testMAC)
	made := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "edge0"}, Mode: netlink.TUNTAP_MODE_TAP}
	for _, err := range []error{netlink.LinkAdd(made), netlink.LinkSetHardwareAddr(made, mac[:]), netlink.LinkSetMaster(made, linkOf(t, "br0"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := applySettings("edge0", quietSettings, false); err != nil {
		t.Fatal(err)
	}
	d := open(t, Config{Name: "edge0", MAC: testMAC, MTU: 1500, Port: Port{Bridge: "br0"}})
	if own := asked(t, "edge0"); own.master == 0 || own.mac != mac {
		t.Errorf("the port is %+v", own)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if own := asked(t, "edge0"); own.master != 0 || own.mac != testMAC || setting(t, "edge0", "disable_ipv6") != "0" {
		t.Errorf("left as %+v", own)
	}
}

// What cannot be joined, or should not be, is refused before anything is made.
func TestBridgeRefusals(t *testing.T) {
	enterNamespace(t)
	bridged(t, "br0", "eth1", 1500)
	bridged(t, "br9", "eth9", 9216)
	own := func(r string) {
		dst := netip.MustParsePrefix(r)
		route := &netlink.Route{LinkIndex: linkOf(t, "br0").Attrs().Index, Dst: &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(0, dst.Addr().BitLen())}}
		if err := netlink.RouteAdd(route); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		port  Port
		typed int
		want  string
	}{
		{Port{Bridge: "br1"}, 0, "there is no bridge br1. Make it and put the network card into it: ip link add br1 type bridge; ip link set br1 up; ip link set eth1 master br1. [E30]"},
		{Port{Bridge: "eth1h"}, 0, "eth1h is no bridge: it is one end of a veth pair. Name the bridge that it is a port of, or make one: ip link add br0 type bridge; ip link set br0 up; ip link set eth1h master br0. [E30]"},
		{Port{Bridge: "a/b"}, 0, `"a/b" cannot be the name of a bridge: it contains '/'. [E30]`},
		{Port{Bridge: "br0", Cost: 65536}, 0, "a path cost of 65536 is impossible: it must be between 1 and 65535. [E30]"},
		{Port{Bridge: "br0"}, 1370, "-M 1370 does not fit: the hosts of br0 may send 1500 bytes, and the kernel would drop longer frames without a word. Leave -M out. [E30]"},
		{Port{Bridge: "br9"}, 0, "the hosts of br9 may send 9216 bytes, and the overlay carries 9000: longer frames would vanish without a word. Type: ip link set br9 mtu 9000, and the same for its ports. [E30]"},
	} {
		if _, err := tt.port.MTU(tt.typed, 9000); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: %v", tt.port, err)
		}
	}
	if n, err := (Port{Bridge: "br0"}).MTU(9000, 9000); n != 9000 || err != nil {
		t.Errorf("more than the bridge carries: %d, %v", n, err)
	}
	own("0.0.0.0/0")
	_, err := Port{Bridge: "br0"}.MTU(0, 9000)
	const line = "the default route of this machine leaves by br0: a loop, or a DHCP server behind another edge, could cut your own line to it, and its network card would belong to everybody's LAN. Bridge another card, or, if this LAN is the one that you mean to share (a machine with one card at home), type --bridge-force. [E30]"
	if err == nil || err.Error() != line {
		t.Errorf("%v", err)
	}
	if n, err := (Port{Bridge: "br0", Force: true}).MTU(0, 9000); n != 1500 || err != nil {
		t.Errorf("forced: %d, %v", n, err)
	}
	var e *OpenError
	if _, err := Open(Config{Name: "edge0", Port: Port{Bridge: "br1"}}); !errors.As(err, &e) || e.Code != "E30" || asked(t, "edge0") != nil {
		t.Errorf("opened into no bridge: %v", err)
	}
}
