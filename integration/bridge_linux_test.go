package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// A site is a LAN: a bridge br0 on the host of an edge, with a cable lan0 to a host
// of its own, the station, whose end has the name of a member's device.
type site struct {
	host    *lab.Host
	station *member
	edge    *member // nil before join
}

// sh types commands on a host as its operator would, and ends the test if one fails.
func (w *town) sh(h *lab.Host, commands string) string {
	w.t.Helper()
	out, err := h.Command(w.ctx, "sh", "-ec", commands).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %s: %v\n%s", h.Name(), commands, err, out)
	}
	return string(out)
}

// site makes a LAN of an MTU on a host; number is that of its station in 10.50.0.0/24.
func (w *town) site(h *lab.Host, number, mtu int) *site {
	w.t.Helper()
	far := lab.Must(w.Island(h.Name() + "-lan"))
	w.sh(h, fmt.Sprintf(`ip link add br0 type bridge mcast_snooping 0
		ip link add lan0 mtu %[1]d type veth peer name %[2]s mtu %[1]d netns %[3]s
		ip link set lan0 master br0; ip link set lan0 up; ip link set br0 up`, mtu, overlay, far.Path()))
	w.sh(far, fmt.Sprintf("ip addr add 10.50.0.%d/24 dev %[2]s; ip link set %[2]s up", number, overlay))
	return &site{host: h, station: &member{Program: &rig.Program{Name: far.Name(), Host: far}, town: w}}
}

// joinBridge starts the edge of a site, and waits until it has listened for others.
func (w *town) joinBridge(s *site, more ...string) {
	w.t.Helper()
	s.edge = w.join(s.host, overIPv4, append([]string{"--bridge", "br0"}, more...)...)
	w.await(s.edge.Program, "ready")
	for began := time.Now(); s.edge.status().Ethernet.Segment.State == "listening"; time.Sleep(20 * time.Millisecond) {
		if machine.since(began) > answerWithin {
			w.t.Fatalf("%s: the bridge goes on listening", s.host.Name())
		}
	}
}

// linkState is what "ip" says of a link.
type linkState struct {
	Name    string   `json:"ifname"`
	Address string   `json:"address"`
	Master  string   `json:"master"`
	MTU     int      `json:"mtu"`
	Flags   []string `json:"flags"`
	Info    struct {
		Port struct {
			Cost int `json:"cost"`
		} `json:"info_slave_data"`
	} `json:"linkinfo"`
}

func (l linkState) up() bool { return slices.Contains(l.Flags, "UP") }

// link returns what "ip" says of a link, the zero value if there is none.
func (w *town) link(h *lab.Host, name string) (l linkState) {
	w.t.Helper()
	out, err := h.Command(w.ctx, "ip", "-d", "-j", "link", "show", name).Output()
	var list []linkState
	if err != nil || json.Unmarshal(out, &list) != nil || len(list) != 1 {
		return linkState{}
	}
	return list[0]
}

// addresses returns those of a link.
func (w *town) addresses(h *lab.Host, name string) (list []string) {
	w.t.Helper()
	for _, line := range strings.Split(w.sh(h, "ip -o addr show dev "+name), "\n") {
		if f := strings.Fields(line); len(f) > 3 {
			list = append(list, f[3])
		}
	}
	return list
}

// sites makes two sites whose edges have a session.
func (w *town) sites(mtu int, more ...string) (left, right *site) {
	w.t.Helper()
	left, right = w.site(w.home("left", 1, lab.PortRestricted), 1, mtu), w.site(w.home("right", 2, lab.PortRestricted), 2, mtu)
	w.joinBridge(left, more...)
	w.joinBridge(right, more...)
	left.edge.learns(right.edge)
	left.edge.pings("--until-direct", right.edge.status().ID)
	return left, right
}

// Hosts behind two bridges reach each other with every size that their LAN takes,
// none of them fragmented, and with such as they have to fragment. The device has
// neither an address nor a say in the bridge's, and the bridges are afterwards as
// they were.
func TestBridge(t *testing.T) {
	t.Parallel()
	for _, mtu := range []int{1500, 9000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			t.Parallel()
			w := newTown(t, 120*time.Second)
			left, right := w.sites(mtu)
			bridge := w.link(right.host, "br0")
			if got := w.link(left.host, overlay); got.Master != "br0" || got.MTU != mtu || got.Info.Port.Cost != 2000 || !got.up() {
				t.Errorf("the device is %+v", got)
			}
			if list := w.addresses(left.host, overlay); len(list) > 0 {
				t.Errorf("the device has %v", list)
			}
			for _, s := range []*site{left, right} {
				if st := s.edge.status(); st.MTU != mtu || st.Ethernet.Bridge != "br0" || len(st.Prefixes) > 0 || len(st.Notes) > 0 {
					t.Errorf("%s says MTU %d, addresses %v, notes %q", s.host.Name(), st.MTU, st.Prefixes, st.Notes)
				}
				if lan, br := w.link(s.host, "lan0"), w.link(s.host, "br0"); br.Address != lan.Address || br.MTU != mtu {
					t.Errorf("the bridge is %+v, its card %+v", br, lan)
				}
			}
			before := []map[string]uint64{left.edge.status().Drops, right.edge.status().Drops}
			for _, way := range [][2]*site{{left, right}, {right, left}} {
				way[0].station.meet(way[1].address(), answerWithin)
				slowest, err := echoesSizes(way[0].station, way[1].address(), mtu, sizesOf(mtu))
				if err != nil {
					t.Errorf("from %s: %v", way[0].host.Name(), err)
				}
				t.Logf("from %s: every size came back, the slowest after %v", way[0].host.Name(), slowest)
			}
			for i, s := range []*site{left, right} {
				if after := s.edge.status().Drops; !maps.Equal(after, before[i]) {
					t.Errorf("%s dropped %v, after %v", s.host.Name(), after, before[i])
				}
			}
			if err := right.edge.Stop(); err != nil {
				t.Error(err)
			}
			if w.link(right.host, overlay).Name != "" || w.link(right.host, "br0").Address != bridge.Address {
				t.Errorf("left behind: %+v, %+v", w.link(right.host, overlay), w.link(right.host, "br0"))
			}
		})
	}
}

// address returns the address of a site's station.
func (s *site) address() netip.Addr {
	n := 1
	if strings.HasPrefix(s.host.Name(), "right") {
		n = 2
	}
	return netip.AddrFrom4([4]byte{10, 50, 0, byte(n)})
}

// largestEcho returns the payload of the largest echo request that a LAN takes whole.
func largestEcho(mtu int) int { return mtu - ipv4.HeaderLen - 8 }

// sizesOf returns sizes of pings: around those at which a frame stops to fit, up to the
// largest that the LAN takes, and larger ones.
func sizesOf(mtu int) []int {
	largest := largestEcho(mtu)
	sizes := []int{0, 1, 56, 1000, largest + 1, 20000, 65000}
	for size := 1300; size <= min(largest, 1500); size++ {
		sizes = append(sizes, size)
	}
	for size := 1500; size <= largest; size += 250 {
		sizes = append(sizes, size)
	}
	return append(sizes, largest)
}

// echoesSizes pings with these sizes. What the LAN takes whole may not be fragmented;
// the station fragments the rest.
func echoesSizes(from *member, to netip.Addr, mtu int, sizes []int) (slowest time.Duration, err error) {
	largest := largestEcho(mtu)
	var conn *icmp.PacketConn
	err = from.Host.Do(func() (err error) {
		conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	for i, size := range sizes {
		if err := dontFragment(conn, size <= largest); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := echo(conn, &net.IPAddr{IP: to.AsSlice()}, &icmp.Echo{ID: 0x4845, Seq: i, Data: random(size)}); err != nil {
			return 0, fmt.Errorf("%d bytes: %w", size, err)
		}
		slowest = max(slowest, time.Since(began))
	}
	return slowest, nil
}

// A LAN reaches an edge whose device carries less than it, with every size: the edge's
// own kernel takes what is too long for its device, and cuts its answers. The LAN of
// another bridge that carries less drops what is too long without a word, as every
// switch does, so the edges say that it will.
func TestBridgeOfDifferentMTU(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	left, right := w.site(w.home("left", 1, lab.PortRestricted), 1, 9000), w.site(w.home("right", 2, lab.PortRestricted), 2, 1500)
	w.joinBridge(left)
	w.joinBridge(right)
	plain := w.join(w.home("plain", 3, lab.PortRestricted), overIPv4, "-a", "static:10.50.0.9/24")
	left.station.meet(plain.addr(), answerWithin)
	if _, err := echoesSizes(left.station, plain.addr(), 9000, sizesOf(9000)); err != nil {
		t.Errorf("to a plain edge: %v", err)
	}
	left.station.meet(right.address(), answerWithin)
	if err := left.edge.noteWithin("the LAN behind right carries 1500 bytes and the one here 9000", told); err != nil {
		t.Error(err)
	}
	whole := slices.DeleteFunc(sizesOf(1500), func(n int) bool { return n > largestEcho(1500) })
	if _, err := echoesSizes(right.station, left.address(), 1500, whole); err != nil {
		t.Errorf("from the smaller LAN: %v", err)
	}
	if notes := right.edge.status().Notes; len(notes) > 0 {
		t.Errorf("the smaller LAN's edge says %q", notes)
	}
}

// Two bridges that nobody has sent a frame to or through: the first ping of a host behind
// one to a host behind the other is answered, whichever edge came first, directly and by
// the supernode alone.
func TestBridgedHostsCold(t *testing.T) {
	t.Parallel()
	for _, kind := range []lab.Kind{lab.PortRestricted, lab.SymmetricRandom} {
		for first := range 2 {
			t.Run(fmt.Sprintf("%v, %d first", kind, first), func(t *testing.T) {
				w := newTown(t, 30*time.Second)
				ends := []*site{w.site(w.home("left", 1, kind), 1, 1500), w.site(w.home("right", 2, kind), 2, 1500)}
				w.joinBridge(ends[first])
				w.joinBridge(ends[1-first])
				pids := []int{ends[0].edge.Pid(), ends[1].edge.Pid(), w.super.Pid()}
				busy := waiting(pids...)
				took := ends[0].station.meet(ends[1].address(), answerWithin)
				busy = waiting(pids...) - busy
				t.Logf("answered after %v; the programs waited %v for a processor", took, busy)
				if took-busy > time.Second { // the kernel asks again then: the first question was lost
					t.Error("the first ping was not answered")
				}
			})
		}
	}
}

// A DHCP server behind one bridge serves a host behind another.
func TestBridgeDHCP(t *testing.T) {
	t.Parallel()
	dnsmasq := lab.Program(t, "dnsmasq", "dnsmasq-base")
	w := newTown(t, 60*time.Second)
	left, right := w.sites(1500)
	server := left.station
	daemon := lab.Must(w.Run(w.ctx, server.Host, "dnsmasq", "", dnsmasq,
		"--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file", "--log-facility=-", "--log-dhcp",
		"--port=0", "--interface="+overlay, "--bind-interfaces", "--dhcp-authoritative", "--no-ping",
		"--dhcp-range=10.50.0.50,10.50.0.60,255.255.255.0,1h",
		"--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases")))
	w.watch(daemon)
	w.await(daemon, "DHCP, IP range")
	w.sh(right.station.Host, "ip addr flush dev "+overlay)
	began := time.Now()
	address, err := leaseAs(right.station, right.station.mac())
	if err != nil || !netip.MustParsePrefix("10.50.0.0/24").Contains(address) {
		t.Fatalf("%s, %v", address, err)
	}
	t.Logf("leased %s after %v", address, time.Since(began))
}

// noteWithin waits until the state of an edge has a note with a text.
func (m *member) noteWithin(text string, within time.Duration) error {
	began := time.Now()
	var s control.Status
	for machine.since(began) < within {
		var err error
		if s, err = m.town.Status(m.town.ctx, m.Program); err != nil {
			return err
		}
		if slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, text) }) {
			m.town.t.Logf("told after %v: %s", time.Since(began).Round(time.Millisecond), text)
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s says within %v nothing of %q: %q", m.Name, within, text, s.Notes)
}

// awaitNote is noteWithin for what no event tells of, and ends the test without it.
func (m *member) awaitNote(text string) {
	m.town.t.Helper()
	must(m.town.t, m.noteWithin(text, 20*time.Second))
}

// eventually waits until a condition holds.
func (w *town) eventually(what string, holds func() bool) {
	w.t.Helper()
	for !holds() {
		if w.ctx.Err() != nil {
			w.t.Fatalf("not so: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// told is for how long a change may be missing in the state of an edge. It is told
// within two seconds on a machine that has time for that, as the log of the test shows;
// this is less than the watch would take without the kernel's events.
const told = 8 * time.Second

// What others do to the device and to the bridge is told at once, and set right
// where the user can want nothing else.
func TestBridgeChanged(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	s := w.site(w.home("left", 1, lab.PortRestricted), 1, 1500)
	w.joinBridge(s)
	port := func() linkState { return w.link(s.host, overlay) }
	first := port()
	for _, step := range []struct {
		typed, note string
		right       func() bool // nil: it stays as it is
	}{
		{"ip link set edge0 down", "edge0 was set down by another program", func() bool { return port().up() }},
		{"ip link set edge0 nomaster", "edge0 was taken out of br0 by another program", func() bool { return port().Master == "br0" && port().Info.Port.Cost == 2000 }},
		{"ip link set edge0 mtu 1400", "edge0 was given an MTU of 1400 by another program", func() bool { return port().MTU == 1500 && w.link(s.host, "br0").MTU == 1500 }},
		{"ip link set edge0 address 02:00:00:00:00:07", "edge0 was given the MAC 02:00:00:00:00:07 by another program", func() bool { return port().Address == first.Address }},
		{"ip link set lan0 mtu 9000", "the MTU of edge0 was 1500", func() bool {
			return port().MTU == 9000 && w.link(s.host, "br0").MTU == 9000 && s.edge.status().MTU == 9000
		}},
		{"ip link set lan0 mtu 1500", "the MTU of edge0 was 9000", func() bool { return port().MTU == 1500 && w.link(s.host, "br0").MTU == 1500 }},
		{"ip link del br0", "the bridge br0 is gone", nil},
		{"ip link add br0 type bridge; ip link set br0 up; ip link set lan0 master br0", "br0 was deleted and made again", func() bool { return port().Master == "br0" }},
		{"ip link set br0 name br7", "br0 was renamed to br7", nil},
		{"ip link set br7 name br0", "", nil},
		{"ip link add br1 type bridge; ip link set edge0 master br1", "edge0 is a port of br1 now and not of br0", nil},
		{"ip link set edge0 master br0; ip link del br1", "", nil},
		{"ip link set edge0 down; ip link set edge0 name lan9", "edge0 was renamed to lan9", nil},
		{"ip link set lan9 down; ip link set lan9 name edge0", "", func() bool { return port().up() && port().Master == "br0" }},
	} {
		w.sh(s.host, step.typed)
		if step.note != "" {
			if err := s.edge.noteWithin(step.note, told); err != nil {
				t.Errorf("%s: %v", step.typed, err)
			}
		}
		if step.right != nil {
			w.eventually("right after "+step.typed, step.right)
		}
	}
	island := lab.Must(w.Island("island"))
	w.sh(s.host, "ip link set edge0 netns "+island.Path())
	if err := s.edge.noteWithin("edge0 is in another network namespace now", told); err != nil {
		t.Error(err)
	}
}

// A plain device is watched, too; one that somebody put into a bridge needs --bridge.
func TestDeviceChanged(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	m := w.join(w.home("left", 1, lab.PortRestricted), overIPv4)
	w.await(m.Program, "ready")
	first := w.link(m.Host, overlay)
	for _, step := range []struct{ typed, note string }{
		{"ip link set edge0 down", "edge0 was set down by another program"},
		{"ip link set edge0 address 02:00:00:00:00:07", "edge0 was given the MAC 02:00:00:00:00:07"},
		{"ip link set edge0 mtu 1400", "edge0 has an MTU of 1400 now and was opened with 1370"},
		{"ip link add br0 up type bridge; ip link set edge0 master br0", "edge0 was made a port of br0 by another program"},
	} {
		w.sh(m.Host, step.typed)
		if err := m.noteWithin(step.note, told); err != nil {
			t.Errorf("%s: %v", step.typed, err)
		}
	}
	w.eventually("the device is up and has its MAC", func() bool {
		l := w.link(m.Host, overlay)
		return l.up() && l.Address == first.Address
	})
	w.sh(m.Host, "ip link del edge0")
	if code, err := m.Wait(); err != nil || code != 1 || !strings.Contains(m.Log(), "somebody deleted edge0") {
		t.Errorf("%d, %v", code, err)
	}
}

// What eats frames on the way is told by its name, and gone after what it says to type.
func TestBridgeObstacles(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	s := w.site(w.home("left", 1, lab.PortRestricted), 1, 1500)
	w.joinBridge(s)
	w.await(s.edge.Program, "br0 keeps LLDP and 802.1X to itself")
	for _, step := range []struct{ typed, note, mend string }{
		{"ip link set br0 down", "br0 is down: nothing passes", "ip link set br0 up"},
		{"bridge link set dev edge0 flood off", "frames to hosts that it has not learned not to its port edge0", "bridge link set dev edge0 flood on"},
		{"bridge link set dev edge0 mcast_flood off", "multicast not to its port", "bridge link set dev edge0 mcast_flood on"},
		{"bridge link set dev edge0 bcast_flood off", "ARP and DHCP among them", "bridge link set dev edge0 bcast_flood on"},
		{"bridge link set dev edge0 isolated on; bridge link set dev lan0 isolated on", "the ports edge0 and lan0 of br0 are isolated", "bridge link set dev edge0 isolated off"},
		{"ip link set br0 type bridge ageing_time 0", "forgets at once where its hosts are", "ip link set br0 type bridge ageing_time 30000"},
		{"ip link set br0 mtu 9000", "br0 has an MTU of 9000 and its port lan0 carries 1500", "ip link set lan0 mtu 9000"},
	} {
		w.sh(s.host, step.typed)
		if err := s.edge.noteWithin(step.note, told); err != nil {
			t.Errorf("%s: %v", step.typed, err)
			continue
		}
		w.sh(s.host, step.mend)
		w.eventually("no note after "+step.mend, func() bool {
			return !slices.ContainsFunc(s.edge.status().Notes, func(n string) bool { return strings.Contains(n, step.note) })
		})
	}
}

// The firewall of a host with containers drops forwarded frames, and br_netfilter
// hands it those of bridges. Rules and switches make no event, so it takes a look at
// the start.
func TestBridgeFirewall(t *testing.T) {
	t.Parallel()
	nft := lab.Program(t, "nft", "nftables")
	for _, tt := range []struct{ name, rules, chain string }{
		{"policy", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }", `"FORWARD" of its table "filter"`},
		{"last rule", "add table inet fw; add chain inet fw forward { type filter hook forward priority 0; }; add rule inet fw forward ct state established accept; add rule inet fw forward counter reject", `"forward" of its table "fw"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, 60*time.Second)
			s := w.site(w.home("left", 1, lab.PortRestricted), 1, 1500)
			if err := s.host.Sysctl("net/bridge/bridge-nf-call-iptables", "1"); err != nil {
				t.Skip("needs br_netfilter: ", err)
			}
			w.sh(s.host, fmt.Sprintf("%s '%s'", nft, tt.rules))
			w.joinBridge(s)
			if err := s.edge.noteWithin("br_netfilter sends the frames of br0 through the firewall, which drops what no rule accepts, in the chain "+tt.chain, told); err != nil {
				t.Error(err)
			}
			w.sh(s.host, "echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables")
			w.eventually("no note when it is off", func() bool { return len(s.edge.status().Notes) == 0 })
		})
	}
}

// An edge that was killed comes back into its bridge, whether the device went with it
// or an administrator made it, and takes its addresses from the bridge when it ends.
func TestBridgeKilled(t *testing.T) {
	t.Parallel()
	for _, premade := range []bool{false, true} {
		t.Run(fmt.Sprintf("premade %v", premade), func(t *testing.T) {
			t.Parallel()
			w := newTown(t, 60*time.Second)
			s := w.site(w.home("left", 1, lab.PortRestricted), 1, 1500)
			if premade {
				w.sh(s.host, "ip tuntap add edge0 mode tap multi_queue")
			}
			w.joinBridge(s, "--bridge-address", "--bridge-cost", "55")
			lease, ula := s.edge.prefix(), s.edge.addr6()
			if got := w.addresses(s.host, "br0"); !slices.Contains(got, lease.String()) || !slices.ContainsFunc(got, func(a string) bool { return strings.HasPrefix(a, ula.String()+"/") }) {
				t.Errorf("the bridge has %v, not %s and %s", got, lease, ula)
			}
			if err := s.edge.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := s.edge.Start(w.ctx); err != nil {
				t.Fatal(err)
			}
			w.await(s.edge.Program, "ready")
			s.edge.prefix()
			if got := w.link(s.host, overlay); got.Master != "br0" || got.Info.Port.Cost != 55 || !got.up() {
				t.Errorf("came back as %+v", got)
			}
			if err := s.edge.Stop(); err != nil {
				t.Error(err)
			}
			if got := w.addresses(s.host, "br0"); slices.ContainsFunc(got, func(a string) bool { return !strings.HasPrefix(a, "fe80:") }) {
				t.Errorf("the bridge has %v still", got)
			}
			if got := w.link(s.host, overlay); (got.Name != "") != premade || got.Master != "" {
				t.Errorf("left %+v", got)
			}
		})
	}
}

// A machine is not cut off from its own line but by one who says so, and nothing is
// made before.
func TestBridgeRefused(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	h := w.home("left", 1, lab.PortRestricted)
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no bridge": {[]string{"--bridge", "br0"}, "there is no bridge br0."},
		"own line":  {[]string{"--bridge", "br5"}, "the default route of this machine leaves by"},
	} {
		if name == "own line" {
			w.sh(h, "ip link add br5 up type bridge; ip route add default dev br5 metric 5000")
		}
		out, code := w.refusedEdge(h, tt.args...)
		if code != 2 || !strings.Contains(out, tt.says) || !strings.Contains(out, "[E30]") {
			t.Errorf("%s: code %d, %s", name, code, out)
		}
		if w.link(h, overlay).Name != "" {
			t.Errorf("%s: the device was made", name)
		}
	}
	m := w.join(h, overIPv4, "--bridge", "br5", "--bridge-force")
	w.await(m.Program, "ready")
}

// refusedEdge runs an edge that ends by itself.
func (w *town) refusedEdge(h *lab.Host, more ...string) (out string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 4*answerWithin)
	defer cancel()
	args := append([]string{programs.Edge, "-c", "town", "-k", "correct horse battery staple", "-l", overIPv4, "-d", overlay,
		"--state-dir", filepath.Join(w.Dir, "refused"), "--control", filepath.Join(w.Dir, "refused.sock")}, more...)
	b, err := h.Command(ctx, args...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	return string(b), code
}
