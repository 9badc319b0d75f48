package stack

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"hedgerow/integration/lab"
)

// A tunnel is one by what the kernel says that it is, whatever its name; so is another
// edge's device, with what is above it, and a bridge of containers has no address that
// others reach.
func TestKinds(t *testing.T) {
	h := lab.Must(lab.ForTest(t).Island("host"))
	ip := func(args string) error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return errors.New("ip " + args + ": " + string(out))
		}
		return nil
	}
	err := h.Do(func() error {
		for _, args := range []string{
			"link add eth5 type veth peer name wg9", // neither is a tunnel
			"link add link eth5 name eth5.7 type macvlan",
			"tuntap add lan5 mode tap", "tuntap add lan6 mode tun",
			"tuntap add mine mode tap", "tuntap add other mode tap",
			"link add link other name other.10 type macvlan",
			"link add docker0 type bridge", "link add ct0 type veth peer name ct1", "link set ct0 master docker0", "link set lan5 master docker0",
			"link add br0 type bridge", "link set eth5.7 master br0",
			"link add cilium_host type veth peer name cilium_net", "addr add 10.2.1.108/32 dev cilium_host", // as Cilium does
			"link add up5 type veth peer name up6", "link set up5 up", "link set up6 up", "addr add 192.0.2.9/32 dev up5", "route add default dev up5 metric 7",
			"link add only type bridge", "link add ct2 type veth peer name ct3", "link set ct2 master only",
			"link set only up", "link set ct2 up", "link set ct3 up", "addr add 192.0.2.2/24 dev only", "route add default via 192.0.2.1",
		} {
			if err := ip(args); err != nil {
				return err
			}
		}
		other, err := netlink.LinkByName("other")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetAlias(other, Alias); err != nil {
			return err
		}
		mine, err := netlink.LinkByName("mine")
		if err != nil {
			return err
		}
		want := map[string]bool{"eth5": true, "wg9": true, "eth5.7": true, "br0": true, "docker0": true, "only": true}
		for name, args := range map[string]string{
			"uplink1": "type wireguard", "uplink2": "type vxlan id 5 dstport 4789 remote 192.0.2.1", "uplink3": "type gretap remote 192.0.2.1", "uplink4": "type gre remote 192.0.2.1",
			"uplink5": "type sit remote 192.0.2.1", "uplink6": "type ipip remote 192.0.2.1", "uplink7": "type ip6tnl remote 2001:db8::1", "uplink8": "type geneve id 5 remote 192.0.2.1",
		} {
			if err := ip("link add " + name + " " + args); err != nil {
				t.Logf("not tried, since this kernel has none: %v", err)
				continue
			}
			want[name] = false
		}
		for _, name := range []string{"lan5", "lan6", "mine", "other", "other.10"} {
			want[name] = false
		}
		s := New(mine.Attrs().Index)
		for name, underlay := range want {
			if got := s.Underlay(name); got != underlay {
				t.Errorf("%s is of the underlay: %v", name, got)
			}
		}
		for name, inner := range map[string]bool{"docker0": true, "br0": false, "only": false, "ct3": false, "cilium_host": true, "cilium_net": true, "up5": false} {
			if got := s.Inner(name); got != inner {
				t.Errorf("%s leads to containers alone: %v", name, got)
			}
		}
		for name, tunnel := range map[string]bool{"lan6": true, "wg9": false, "missing": false} {
			if got := IsTunnel(name); got != tunnel {
				t.Errorf("%s is a tunnel: %v", name, got)
			}
		}
		return errors.Join(ip("link set lan6 name eth77"), func() error {
			s.Forget()
			if s.Underlay("eth77") {
				t.Error("a tunnel that was renamed is none any more")
			}
			return nil
		}())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The kinds are those that package netlink knows by a type of its own, too, and those that
// it does not.
func TestTunnelKinds(t *testing.T) {
	for _, tt := range []struct {
		link   netlink.Link
		tunnel bool
	}{
		{&netlink.Tuntap{}, true}, {&netlink.Wireguard{}, true}, {&netlink.Vxlan{}, true}, {&netlink.Geneve{}, true},
		{&netlink.Gretap{Local: net.IPv4(192, 0, 2, 1)}, true}, {&netlink.Gretun{Local: net.IPv4(192, 0, 2, 1)}, true}, {&netlink.Gretun{Local: net.ParseIP("2001:db8::1")}, true},
		{&netlink.Sittun{}, true}, {&netlink.Iptun{}, true}, {&netlink.Ip6tnl{}, true}, {&netlink.Vti{Local: net.IPv4(192, 0, 2, 1)}, true}, {&netlink.Xfrmi{}, true},
		{&netlink.GenericLink{LinkType: "ovpn-dco"}, true}, {&netlink.GenericLink{LinkType: "ovpn"}, true}, {&netlink.GenericLink{LinkType: "amneziawg"}, true},
		{&netlink.Device{}, false}, {&netlink.Veth{}, false}, {&netlink.Vlan{}, false}, {&netlink.Macvlan{}, false}, {&netlink.Bridge{}, false}, {&netlink.Bond{}, false},
		{&netlink.GenericLink{LinkType: "batadv"}, false}, {&netlink.GenericLink{LinkType: "dsa"}, false}, {&netlink.GenericLink{LinkType: "wlan"}, false},
	} {
		if got := tunnelKinds[kindOf(tt.link)]; got != tt.tunnel {
			t.Errorf("%q is a tunnel: %v", kindOf(tt.link), got)
		}
	}
}

// An interface that has just been made is asked for, whenever the others were.
func TestNewInterface(t *testing.T) {
	h := lab.Must(lab.ForTest(t).Island("host"))
	err := h.Do(func() error {
		s := New(1 << 30)
		if !s.Underlay("lo") {
			t.Error("the loopback interface is a tunnel")
		}
		out, err := exec.Command("ip", "tuntap", "add", "late", "mode", "tap").CombinedOutput()
		if err != nil {
			return errors.New(string(out))
		}
		if s.Underlay("late") {
			t.Error("a new tunnel is none")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
