package lan

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func TestBroadcasts(t *testing.T) {
	const ethernet = net.FlagUp | net.FlagBroadcast | net.FlagMulticast | net.FlagRunning
	for _, c := range []struct {
		name  string
		flags net.Flags
		want  bool
	}{
		{"Ethernet", ethernet, true},
		{"down", ethernet &^ net.FlagUp, false},
		{"without multicast", ethernet &^ net.FlagMulticast, false},
		{"loopback", net.FlagUp | net.FlagLoopback, false},
		{"loopback with multicast", ethernet | net.FlagLoopback, false},
		{"point to point", net.FlagUp | net.FlagPointToPoint | net.FlagMulticast, false},
		{"both", ethernet | net.FlagPointToPoint, false},
	} {
		if got := broadcasts(c.flags); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Of many ifaces those with an address of their own come first.
func TestChoose(t *testing.T) {
	var ifaces []iface
	for i := range 40 {
		a := "fe80::1"
		if i >= 30 {
			a = fmt.Sprintf("192.168.%d.1", i)
		}
		ifaces = append(ifaces, iface{net.Interface{Index: 100 - i, Name: fmt.Sprint("eth", i)}, []netip.Addr{netip.MustParseAddr(a)}})
	}
	ifaces = choose(ifaces)
	if len(ifaces) != maxInterfaces || ifaces[0].Name != "eth39" || ifaces[9].Name != "eth30" || ifaces[10].Name != "eth29" {
		t.Errorf("chosen: %s, first %s", newView(ifaces).list(), ifaces[0].Name)
	}
	if ifaces[0].has(false) || !ifaces[0].has(true) || ifaces[10].has(true) {
		t.Error("families")
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{
		{Group4: netip.MustParseAddr("239.1.2.3")},
		{Group4: DefaultGroup6},
		{Group6: netip.MustParseAddr("ff05::1")},
		{Group6: netip.MustParseAddr("fe80::1")},
		{Group6: netip.MustParseAddr("::ffff:224.0.0.165")},
	} {
		if _, err := Open(c); err == nil {
			t.Errorf("%v, %v is taken", c.Group4, c.Group6)
		}
	}
}

// What is not from the link, not for the group, or our own is not heard.
func TestAccept(t *testing.T) {
	if !tellsArrival {
		t.Skip("this system does not tell how a datagram came")
	}
	c, err := Open(Config{Port: 17655})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	own := netip.MustParseAddr("192.168.1.10")
	c.view.Store(newView([]iface{{net.Interface{Index: 7, Name: "eth0"}, []netip.Addr{own}}}))
	four, six := c.families[0], c.families[len(c.families)-1]
	good := arrival{n: 100, from: netip.MustParseAddrPort("192.168.1.11:40000"), to: DefaultGroup4, ifindex: 7, hops: 1}
	if from, ok := c.accept(four, good); !ok || from != good.from {
		t.Errorf("a good one: %v, %v", from, ok)
	}
	for name, spoil := range map[string]func(*arrival){
		"empty":             func(a *arrival) { a.n = 0 },
		"too long":          func(a *arrival) { a.n = MaxPacket + 1 },
		"unicast":           func(a *arrival) { a.to = own },
		"another group":     func(a *arrival) { a.to = netip.MustParseAddr("224.0.0.251") },
		"another interface": func(a *arrival) { a.ifindex = 8 },
		"a hop limit of 64": func(a *arrival) { a.hops = 64 },
		"our own":           func(a *arrival) { a.from = netip.AddrPortFrom(own, four.port()) },
	} {
		bad := good
		spoil(&bad)
		if _, ok := c.accept(four, bad); ok {
			t.Errorf("%s: accepted", name)
		}
	}
	other := good
	other.from = netip.AddrPortFrom(own, four.port()+1)
	if _, ok := c.accept(four, other); !ok {
		t.Error("another process of this host is not heard")
	}
	if six.is4() {
		t.Skip("this host has no IPv6")
	}
	good6 := arrival{n: 100, from: netip.MustParseAddrPort("[fe80::11%9]:40000"), to: DefaultGroup6, ifindex: 7, hops: 1}
	if from, ok := c.accept(six, good6); !ok || from != netip.MustParseAddrPort("[fe80::11%eth0]:40000") {
		t.Errorf("link-local: %v, %v", from, ok)
	}
}
