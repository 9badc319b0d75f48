package integration

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// A host is unplugged from one LAN and plugged in at another one, and says nothing there:
// whoever talks with it behind a third edge finds it, by IPv4 and by IPv6. The kernel's
// bridge there has heard it from the edge's device.
func TestSilentMove(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	s := w.newSegments()
	s.join("forwarding", "forwarding", "forwarding")
	far := s.sites[2].station
	for i, to := range []netip.Addr{netip.MustParseAddr("10.50.0.9"), netip.MustParseAddr("fd50::9")} {
		mover := lab.Must(w.Island(fmt.Sprint("mover", i)))
		host := &member{Program: &rig.Program{Name: mover.Name(), Host: mover}, town: w}
		w.sh(mover, `sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
			nft 'add table ip6 quiet; add chain ip6 quiet out { type filter hook output priority 0; };
				add rule ip6 quiet out icmpv6 type { mld-listener-report, mld2-listener-report, nd-router-solicit } drop'`)
		w.sh(s.sites[0].host, fmt.Sprintf(`ip link add mover%d type veth peer name eth0 netns %s
			ip link set mover%[1]d master br0; ip link set mover%[1]d up`, i, mover.Path()))
		if to.Is4() {
			w.sh(mover, fmt.Sprintf("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip addr add %s/24 dev eth0; ip link set eth0 up", to))
		} else {
			w.sh(far.Host, fmt.Sprintf("ip addr add fd50::1/64 dev %s nodad", overlay))
			w.sh(mover, fmt.Sprintf("ip addr add %s/64 dev eth0 nodad; ip link set eth0 up", to))
		}
		at := netip.MustParseAddr("10.50.0.3")
		if to.Is6() {
			at = netip.MustParseAddr("fd50::1")
		}
		host.meet(at, answerWithin) // its question goes to all LANs
		for range 20 {
			far.meet(to, answerWithin)
			time.Sleep(50 * time.Millisecond)
		}
		// Nobody but the edges asks where it is.
		w.sh(far.Host, fmt.Sprintf("ip neigh replace %s dev %s lladdr %s nud permanent", to, overlay, host.device("eth0").HardwareAddr))
		w.sh(s.sites[0].host, fmt.Sprintf("ip link set mover%d netns %s", i, s.sites[1].host.Path()))
		sent := host.device("eth0").Statistics.TxPackets
		w.sh(s.sites[1].host, fmt.Sprintf("ip link set mover%d master br0; ip link set mover%[1]d up", i))
		time.Sleep(300 * time.Millisecond)
		if n := host.device("eth0").Statistics.TxPackets - sent; n != 0 {
			t.Errorf("%s: the host has sent %d frames by itself", to, n)
		}
		t.Logf("%s was found %v after it was unplugged", to, far.meet(to, 2*answerWithin)+300*time.Millisecond)
	}
}

// mac returns the hardware address of an edge's device, or of a station's end of its LAN.
func (m *member) mac() net.HardwareAddr { return m.device(overlay).HardwareAddr }

// device returns what the kernel of a host says of a device.
func (m *member) device(name string) (a *netlink.LinkAttrs) {
	m.town.t.Helper()
	must(m.town.t, m.Host.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err == nil {
			a = link.Attrs()
		}
		return err
	}))
	return a
}
