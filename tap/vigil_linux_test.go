package tap

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// sound is a device in a bridge with one other port, and nothing wrong. The test
// changes it.
func sound() (*vigil, *sight) {
	v := &vigil{name: "edge0", mac: portMAC(testMAC), mtu: 1500, most: 9000, port: Port{Bridge: "br0"}}
	b := link{index: 2, name: "br0", kind: bridgeKind, up: true, mtu: 1500, bridge: bridgeOptions{ageing: 30000}}
	open := portOptions{state: 3, cost: DefaultCost, learning: true, unicast: true, group: true, others: true}
	d := link{index: 5, name: "edge0", kind: "tun", up: true, mtu: 1500, mac: v.mac, master: 2, port: open}
	return v, &sight{device: &d, bridge: &b, master: &b, ports: []link{{index: 3, name: "eth1", mtu: 1500, master: 2, port: open}}}
}

// noon is when these tests are.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Each change is told in one sentence and set right, or left where the user may have
// meant it.
func TestVigil(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*vigil, *sight)
		mends  []mend
		notes  []string
	}{
		{"sound", func(*vigil, *sight) {}, nil, nil},
		{"down", func(_ *vigil, s *sight) { s.device.up = false }, []mend{mendUp}, []string{"edge0 was set down by another program at 12:00:00 and was set right. [E32]"}},
		{"out", func(_ *vigil, s *sight) { s.device.master, s.master = 0, nil }, []mend{mendJoin}, []string{"edge0 was taken out of br0 by another program at 12:00:00 and was set right. [E32]"}},
		{"made again", func(v *vigil, s *sight) { v.gone, s.device.master, s.master = true, 0, nil }, []mend{mendJoin}, []string{"the bridge br0 was deleted and made again by another program at 12:00:00 and was set right. [E32]"}},
		{"MAC", func(_ *vigil, s *sight) { s.device.mac = testMAC }, []mend{mendMAC}, []string{"edge0 was given the MAC 02:5c:1e:9a:40:11 by another program at 12:00:00 and was set right. [E32]"}},
		{"MTU", func(_ *vigil, s *sight) { s.device.mtu, s.bridge.mtu = 1400, 1400 }, []mend{mendMTU}, []string{"edge0 was given an MTU of 1400 by another program at 12:00:00 and was set right. [E32]"}},
		{"follows", func(_ *vigil, s *sight) { s.ports[0].mtu = 9000 }, []mend{mendMTU}, []string{"the hosts of br0 may send 9000 bytes now: the MTU of edge0 was 1500 at 12:00:00 and was set right. [E32]"}},
		{"longer than the overlay", func(_ *vigil, s *sight) { s.ports[0].mtu = 9216 }, nil, []string{"the hosts of br0 may send 9216 bytes now, and the overlay carries 9000: longer frames vanish without a word. Type: ip link set br0 mtu 9000, and the same for its ports. [E31]"}},
		{"fixed", func(v *vigil, s *sight) { v.fixed, s.ports[0].mtu = true, 9000 }, nil, []string{"the hosts of br0 may send 9000 bytes now, and edge0 was started with -M 1500: longer frames vanish without a word. Start the edge without -M. [E32]"}},
		{"all at once, in order", func(_ *vigil, s *sight) {
			s.device.up, s.device.mac, s.device.mtu, s.device.master, s.master = false, testMAC, 1400, 0, nil
		}, []mend{mendMAC, mendMTU, mendJoin, mendUp}, nil},
		{"gone", func(_ *vigil, s *sight) { s.device.master, s.master, s.bridge = 0, nil, nil }, nil, []string{"the bridge br0 is gone: hosts behind it are cut off. The edge joins it when it is there again: ip link add br0 type bridge; ip link set br0 up. [E32]"}},
		{"another", func(_ *vigil, s *sight) {
			s.device.master, s.master = 7, &link{index: 7, name: "br1", kind: bridgeKind}
		}, nil, []string{"edge0 is a port of br1 now and not of br0. Type: ip link set edge0 master br0, or start the edge with --bridge br1. [E32]"}},
		{"renamed", func(_ *vigil, s *sight) { s.device.name = "lan9" }, nil, []string{"edge0 was renamed to lan9. The edge goes on with it; type: ip link set lan9 down; ip link set lan9 name edge0. [E32]"}},
		{"bridge renamed", func(_ *vigil, s *sight) { s.bridge.name = "lan" }, nil, []string{"the bridge br0 was renamed to lan. The edge goes on with it; its next start needs --bridge lan. [E32]"}},
		{"elsewhere", func(_ *vigil, s *sight) { s.device = nil }, nil, []string{"edge0 is in another network namespace now: its frames come and go there, and nothing here can be done about it. Bring it back from there (ip link set edge0 netns 1), or start the edge again. [E32]"}},
		{"deleted", func(_ *vigil, s *sight) { s.device, s.deleted = nil, true }, nil, []string{"edge0 was deleted by another program: start the edge again. [E32]"}},
		{"plain", func(v *vigil, s *sight) { v.port = Port{}; s.bridge = nil }, nil, []string{"edge0 was made a port of br0 by another program: the other members drop the frames of hosts behind it, since this edge was not started as a bridge. Start it with --bridge br0, or take it out: ip link set edge0 nomaster. [E32]"}},
		{"address", func(v *vigil, s *sight) {
			v.port, s.master, s.bridge, s.missing = Port{}, nil, nil, []netip.Prefix{netip.MustParsePrefix("10.64.0.7/24"), netip.MustParsePrefix("fd00::7/64")}
		}, []mend{mendAddress}, []string{"the address 10.64.0.7/24, fd00::7/64 was taken from edge0 by another program at 12:00:00 and was set right. [E32]"}},
		{"address of the bridge", func(_ *vigil, s *sight) { s.missing = []netip.Prefix{netip.MustParsePrefix("10.64.0.7/24")} }, []mend{mendAddress}, []string{"the address 10.64.0.7/24 was taken from br0 by another program at 12:00:00 and was set right. [E32]"}},
		{"addresses of what is down", func(v *vigil, s *sight) {
			v.port, s.master, s.bridge, s.device.up, s.missing = Port{}, nil, nil, false, []netip.Prefix{netip.MustParsePrefix("fd00::7/64")}
		}, []mend{mendUp}, nil},
		{"link down", func(v *vigil, s *sight) {
			v.port, v.link, s.master, s.bridge, s.device.up = Port{}, true, nil, nil, false
		}, nil, []string{"edge0 was set down by another program: it carries nothing. Type: ip link set edge0 up. [E32]"}},
		{"link in a bridge", func(v *vigil, s *sight) { v.port, v.link, s.bridge = Port{}, true, nil }, nil, []string{"edge0 was made a port of br0 by another program: a link carries frames of its own two ends alone, and none of hosts behind it. Take it out: ip link set edge0 nomaster. [E32]"}},
		{"plain with an MTU", func(v *vigil, s *sight) { v.port, s.master, s.bridge, s.device.mtu = Port{}, nil, nil, 1400 }, nil, []string{"edge0 has an MTU of 1400 now and was opened with 1500. Type: ip link set edge0 mtu 1500, or start the edge with -M 1400. [E32]"}},
	} {
		v, s := sound()
		tt.change(v, s)
		mends, notes := v.look(noon, s)
		notes = append(notes, v.notes(noon)...)
		if !slices.Equal(mends, tt.mends) || tt.notes != nil && !slices.Equal(notes, tt.notes) || tt.notes == nil && len(notes) != len(tt.mends) {
			t.Errorf("%s: mends %v\n%s", tt.name, mends, strings.Join(notes, "\n"))
		}
	}
}

// Two programs that want different things do not undo each other's work for ever, and
// the user is told of what failed and of what was mended for some minutes.
func TestVigilGivesUp(t *testing.T) {
	v, s := sound()
	s.device.up = false
	now, mended := noon, 0
	var notes []string
	for range 600 {
		var do []mend
		if do, notes = v.look(now, s); len(do) > 0 {
			mended++
		}
		now = now.Add(100 * time.Millisecond)
	}
	if mended != mendMost {
		t.Errorf("mended %d times in a minute", mended)
	}
	if len(notes) != 1 || notes[0] != "edge0 was set down by another program again and again: find out by whom (ip monitor link), and end it. [E32]" {
		t.Errorf("%q", notes)
	}
	if do, _ := v.look(now, s); len(do) != 1 {
		t.Error("not tried after a minute")
	}
	v.repairs[mendUp].fault = "operation not permitted"
	if got := v.notes(now); len(got) != 1 || got[0] != "edge0 was set down by another program, and that cannot be set right: operation not permitted. [E32]" {
		t.Errorf("%q", got)
	}
	if got := v.notes(now.Add(mendShown)); len(got) != 0 {
		t.Errorf("later %q", got)
	}
}

// What eats frames is named with the command to type.
func TestObstacles(t *testing.T) {
	drop := chain{family: ip4Family, table: "filter", name: "FORWARD", drops: true}
	for _, tt := range []struct {
		name   string
		change func(*sight)
		want   string // empty: nothing
	}{
		{"sound", func(*sight) {}, ""},
		{"a firewall that bridges do not meet", func(s *sight) { s.chains = []chain{drop} }, ""},
		{"a firewall", func(s *sight) { s.chains, s.filter4 = []chain{drop}, true },
			`br_netfilter sends the frames of br0 through the firewall, which drops what no rule accepts, in the chain "FORWARD" of its table "filter": hosts behind the bridge are cut off. Type: sysctl -w net.bridge.bridge-nf-call-iptables=0 (a container engine sets it again: then iptables -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT). [E31]`},
		{"by a switch of the bridge", func(s *sight) { s.chains, s.bridge.bridge.filter4 = []chain{drop}, true }, "br_netfilter sends the frames of br0"},
		{"of IPv6", func(s *sight) {
			s.chains, s.filter6 = []chain{{family: ip6Family, table: "t", name: "c", drops: true}}, true
		}, "bridge-nf-call-ip6tables=0"},
		{"of the other family", func(s *sight) { s.chains, s.filter6 = []chain{drop}, true }, ""},
		{"of both families", func(s *sight) { s.chains, s.filter6 = []chain{{family: bothFamily, drops: true}}, true }, "bridge-nf-call-ip6tables=0"},
		{"with an exception", func(s *sight) {
			excepted := drop
			excepted.excepts = true
			s.chains, s.filter4 = []chain{excepted}, true
		}, ""},
		{"of bridged frames", func(s *sight) { s.chains = []chain{{family: bridgeRules, table: "b", name: "f", drops: true}} },
			`the firewall's table of bridged frames drops what no rule accepts, in the chain "f" of its table "b": hosts behind br0 are cut off. Type: nft insert rule bridge b f iifname edge0 accept; nft insert rule bridge b f oifname edge0 accept. [E31]`},
		{"a port that carries less", func(s *sight) { s.bridge.mtu = 9000 }, "br0 has an MTU of 9000 and its port eth1 carries 1500: longer frames vanish without a word. Type: ip link set eth1 mtu 9000. [E31]"},
		{"one isolated port", func(s *sight) { s.device.port.isolated = true }, ""},
		{"two", func(s *sight) { s.device.port.isolated, s.ports[0].port.isolated = true, true }, "the ports edge0 and eth1 of br0 are isolated from each other: nothing passes between them. Type: bridge link set dev edge0 isolated off. [E31]"},
		{"no flooding", func(s *sight) { s.device.port.unicast = false }, "br0 sends frames to hosts that it has not learned not to its port edge0. Type: bridge link set dev edge0 flood on. [E31]"},
		{"no broadcasts", func(s *sight) { s.device.port.others = false }, "br0 sends broadcasts, ARP and DHCP among them, not to its port edge0. Type: bridge link set dev edge0 bcast_flood on. [E31]"},
		{"down", func(s *sight) { s.bridge.up = false }, "br0 is down: nothing passes. Type: ip link set br0 up. [E31]"},
		{"blocked", func(s *sight) { s.bridge.bridge.stp, s.device.port.state = 1, portBlocking }, "the spanning tree of br0 blocks its port edge0: nothing passes by this edge as long as another way is up. See: bridge link show. [E31]"},
		{"disabled", func(s *sight) { s.device.port.state = portDisabled }, "the port edge0 of br0 is disabled: nothing passes. Type: bridge link set dev edge0 state 3. [E31]"},
		{"VLANs", func(s *sight) { s.bridge.bridge.vlans = true }, "br0 sorts frames by VLAN and has none for new ports: untagged frames vanish. Type: bridge vlan add dev edge0 vid 1 pvid untagged, with your VLAN in the place of 1. [E31]"},
		{"VLANs with one for us", func(s *sight) { s.bridge.bridge.vlans, s.bridge.bridge.pvid = true, 1 }, ""},
		{"forgetful", func(s *sight) { s.bridge.bridge.ageing = 0 }, "br0 forgets at once where its hosts are (ageing_time 0)"},
		{"not a port", func(s *sight) { s.device.master, s.bridge.up = 0, false }, ""},
	} {
		_, s := sound()
		tt.change(s)
		list := s.obstacles(9000)
		if tt.want == "" && len(list) > 0 || tt.want != "" && (len(list) != 1 || !strings.Contains(list[0], tt.want)) {
			t.Errorf("%s: %q", tt.name, list)
		}
	}
	_, s := sound()
	s.bridge.bridge = bridgeOptions{groupMask: 8, vlans: true, pvid: 7}
	want := []string{
		"br0 keeps LLDP and 802.1X to itself, as every bridge does. If they have to pass, type: ip link set br0 type bridge group_fwd_mask 0x4008. [E31]",
		"br0 sorts frames by VLAN, and its port edge0 has VLAN 7 only. If others have to pass, type: bridge vlan add dev edge0 vid 10, for each. [E31]",
	}
	if got := s.remarks(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A bridge whose MTU nobody set has the least of its ports, that of the device among
// them: it must not hold itself down.
func TestSegmentMTU(t *testing.T) {
	for _, tt := range []struct {
		bridge int
		ports  []int
		want   int
	}{
		{1500, nil, 1500}, {1500, []int{1500}, 1500}, {1500, []int{9000}, 9000}, {1500, []int{9000, 1500}, 1500},
		{9000, []int{1500}, 9000}, {1370, []int{1500, 9000}, 1500},
	} {
		var ports []link
		for _, n := range tt.ports {
			ports = append(ports, link{mtu: n})
		}
		if got := segmentMTU(link{mtu: tt.bridge}, ports); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}
