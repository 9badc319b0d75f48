package integration

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// notTyped are the commands of docs/bridging.md that no test runs, and why.
var notTyped = map[string]string{
	"modprobe batman-adv":            "a module of the kernel that test machines lack",
	"ip link add bat0 type batadv":   "needs that module",
	"ip link set mesh-b master bat0": "needs that module",
	"ip link set bat0 up":            "needs that module",
	"ip link set bat0 master br0":    "needs that module",
}

// A manual is the blocks of code of a document.
type manual struct {
	t      *testing.T
	name   string
	mu     sync.Mutex
	blocks map[string][][]string // the lines, by section
	typed  map[string]bool       // by section and number of a block
}

// openManual reads a document of the folder docs.
func openManual(t *testing.T, name string) *manual {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", name))
	must(t, err)
	m := &manual{t: t, name: name, blocks: map[string][][]string{}, typed: map[string]bool{}}
	section, fenced := "", false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\n")
		title, heads := strings.CutPrefix(line, "## ")
		switch list := m.blocks[section]; {
		case strings.HasPrefix(line, "```"):
			if fenced = !fenced; fenced {
				m.blocks[section] = append(list, nil)
			}
		case fenced:
			list[len(list)-1] = append(list[len(list)-1], line)
		case heads:
			section = title
		}
	}
	return m
}

// block returns the lines of a block of a section, from 0, all of which the caller types.
func (m *manual) block(t *testing.T, section string, number int) []string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if number >= len(m.blocks[section]) {
		t.Fatalf("docs/%s has no block %d in the section %q", m.name, number, section)
	}
	m.typed[fmt.Sprint(section, number)] = true
	return m.blocks[section][number]
}

// complete tells which lines of docs/bridging.md nobody has typed.
func (m *manual) complete() {
	left := map[string]bool{}
	for section, blocks := range m.blocks {
		for number, lines := range blocks {
			if m.typed[fmt.Sprint(section, number)] {
				continue
			}
			for _, line := range lines {
				if left[line] = true; notTyped[line] == "" {
					m.t.Errorf("docs/bridging.md, %s: no test types %q", section, line)
				}
			}
		}
	}
	for line := range notTyped {
		if !left[line] {
			m.t.Errorf("docs/bridging.md does not have %q any more", line)
		}
	}
}

// A desk is where somebody types what the manual says: a host with a folder, in which the
// key is, and the commands, as they are on a machine that has no other edge.
type desk struct {
	*town
	host  *lab.Host
	dir   string
	here  *strings.Replacer // of what is another thing at this desk
	edge  *member           // nil before the first
	count int
}

// desk gives a host a folder. Pairs say what of the manual is something else here.
func (w *town) desk(h *lab.Host, pairs ...string) *desk {
	w.t.Helper()
	d := &desk{town: w, host: h, dir: filepath.Join(w.Dir, "desk-"+h.Name())}
	d.here = strings.NewReplacer(append(pairs, "vps.example:7654", overIPv4)...)
	must(w.t, os.MkdirAll(d.dir, 0o755))
	must(w.t, os.WriteFile(filepath.Join(d.dir, "key"), []byte("correct horse battery staple\n"), 0o600))
	const command = `#!/bin/sh
case "$1" in
-*) exec %[1]s "$@" --name %[3]s --state-dir %[2]s/state --control %[2]s/control ;;
keygen) exec %[1]s "$@" ;;
identity|invite|join) exec %[1]s "$@" --state-dir %[2]s/state ;;
*) exec %[1]s "$@" --control %[2]s/control ;;
esac
`
	must(w.t, os.WriteFile(filepath.Join(d.dir, "edge"), fmt.Appendf(nil, command, programs.Edge, d.dir, h.Name()), 0o755))
	if dnsmasq, err := exec.LookPath("dnsmasq"); err == nil {
		text := fmt.Sprintf("#!/bin/sh\nexec %s --conf-file=/dev/null --dhcp-leasefile=%s/leases \"$@\"\n", dnsmasq, d.dir)
		must(w.t, os.WriteFile(filepath.Join(d.dir, "dnsmasq"), []byte(text), 0o755))
	}
	return d
}

// shell returns what a shell at the desk is told for a line.
func (d *desk) shell(line string) string {
	return fmt.Sprintf("cd %s; PATH=%[1]s:$PATH; %s", d.dir, d.here.Replace(line))
}

// types types lines one after another, and returns what the last one said. An edge or a
// server that is started goes on; an edge takes the place of the one before.
func (d *desk) types(lines ...string) (said string) {
	d.t.Helper()
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "edge -"):
			d.starts(line)
		case strings.HasPrefix(line, "dnsmasq "):
			server := lab.Must(d.Run(d.ctx, d.host, "dnsmasq", "", "sh", "-c", d.shell("exec "+line)))
			d.watch(server)
			d.await(server, "DHCP, IP range")
		default:
			said = d.sh(d.host, d.shell(line))
		}
	}
	return said
}

// starts starts an edge, and waits until it is no longer listening for other bridges.
func (d *desk) starts(line string) {
	d.t.Helper()
	d.ends()
	d.count++
	name := fmt.Sprintf("%s-%d", d.host.Name(), d.count)
	p := lab.Must(d.Run(d.ctx, d.host, name, filepath.Join(d.dir, "control"), "sh", "-c", d.shell("exec "+line)))
	d.watch(p)
	d.edge = newMember(d.town, p)
	d.await(p, "ready")
	d.eventually(name+" does not listen any more", func() bool {
		s := d.edge.status().Ethernet.Segment
		return s == nil || s.State != "listening"
	})
}

// ends ends the edge, if there is one.
func (d *desk) ends() {
	d.t.Helper()
	if d.edge != nil {
		must(d.t, d.edge.Stop())
		d.edge = nil
	}
}

// state waits until the edge forwards, or stands by.
func (d *desk) state(want string) {
	d.t.Helper()
	d.eventually(d.host.Name()+" is "+want, func() bool { return d.edge.status().Ethernet.Segment.State == want })
}

// lan gives a host the card eth1 on a LAN, with an address of it. The LAN is a switch,
// which is a host on it as well.
func (w *town) lan(h *lab.Host, far *lab.Host, address string) *member {
	w.t.Helper()
	if far == nil {
		far = lab.Must(w.Island(h.Name() + "-lan"))
		w.sh(far, fmt.Sprintf("ip link add %[1]s type bridge mcast_snooping 0; ip link set %[1]s up", overlay))
	}
	port := "to-" + h.Name()
	w.sh(h, fmt.Sprintf("ip link add eth1 type veth peer name %s netns %s; ip link set eth1 up; ip address add %s dev eth1", port, far.Path(), address))
	w.sh(far, fmt.Sprintf("ip link set %s up master %s", port, overlay))
	return &member{Program: &rig.Program{Name: far.Name(), Host: far}, town: w}
}

// What docs/bridging.md says, typed line by line: what a line promises is there.
func TestBridgingDocument(t *testing.T) {
	t.Parallel()
	m := openManual(t, "bridging.md")
	parts := map[string]func(*testing.T, *manual){
		"two sites": typeSites, "redundancy": typeRedundancy, "hubs": typeHubs, "one card": typeOneCard, "batman-adv": typeLink,
	}
	var done atomic.Int32 // parts that were neither skipped nor left out by -run
	t.Cleanup(func() {
		if int(done.Load()) == len(parts) {
			m.complete()
		}
	})
	for name, f := range parts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, m)
			done.Add(1)
		})
	}
}

// twoSites joins two LANs as the manual says, with a host on each: 192.168.7.11 on the left
// one, and 192.168.7.12.
func (m *manual) twoSites(t *testing.T) (left, right *desk, here, there *member) {
	w := newTown(t, 120*time.Second)
	left, right = w.desk(w.home("left", 1, lab.PortRestricted)), w.desk(w.home("right", 2, lab.PortRestricted), "192.168.7.2", "192.168.7.3")
	here, there = w.lan(left.host, nil, "192.168.7.2/24"), w.lan(right.host, nil, "192.168.7.3/24")
	w.sh(here.Host, "ip address add 192.168.7.11/24 dev "+overlay)
	w.sh(there.Host, "ip address add 192.168.7.12/24 dev "+overlay)
	site := m.block(t, "A site", 0)
	left.types(site...)
	right.types(site...)
	here.meet(netip.MustParseAddr("192.168.7.3"), answerWithin)
	return left, right, here, there
}

// typeSites does at two sites what the manual has for them.
func typeSites(t *testing.T, m *manual) {
	left, right, here, there := m.twoSites(t)
	check := m.block(t, "A site", 1)
	left.eventually("the edge is well", func() bool {
		return exec.Command(programs.Edge, "health", "--control", left.edge.Socket).Run() == nil
	})
	if said := left.types(check[0]); !strings.Contains(said, "forwarding") {
		t.Errorf("%s says\n%s", check[0], said)
	}
	left.types(check[1:]...)
	mac := typeDHCP(t, m, left, right, there)
	if said := left.types(m.block(t, "The second site", 0)...); !strings.Contains(said, mac.String()) {
		t.Errorf("the host of the other site is not shown:\n%s", said)
	}
	typeMulticast(t, m, left, there)
	typeVLAN(t, m, right, here, there)
	left.types(m.block(t, "Questions for addresses", 0)...)
	here.meet(netip.MustParseAddr("192.168.7.12"), answerWithin)
}

// typeDHCP has a host of the right site get its address from the left, and no offer when
// the right does not want any.
func typeDHCP(t *testing.T, m *manual, left, right *desk, client *member) net.HardwareAddr {
	mac := client.mac()
	serve, refuse := m.block(t, "The second site", 1), m.block(t, "The second site", 2)
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		t.Log("DHCP is left out: needs dnsmasq (Debian: dnsmasq-base)")
		right.types(refuse...)
		return mac
	}
	left.types(serve...)
	address, err := leaseAs(client, mac)
	must(t, err)
	if address.Compare(netip.MustParseAddr("192.168.7.100")) < 0 || address.Compare(netip.MustParseAddr("192.168.7.199")) > 0 {
		t.Errorf("leased %s", address)
	}
	right.sh(client.Host, fmt.Sprintf("ip address add %s/24 dev %s", address, overlay))
	client.meet(netip.MustParseAddr("192.168.7.11"), answerWithin)

	right.types(refuse...)
	client.meet(netip.MustParseAddr("192.168.7.11"), answerWithin)
	ctx, cancel := context.WithTimeout(right.ctx, 2500*time.Millisecond)
	defer cancel()
	s, err := openRaw(client, unix.ETH_P_IP)
	must(t, err)
	defer s.close()
	c := &dhcpClient{socket: s, self: mac, xid: 0x68656468}
	if offer, err := c.ask(ctx, layers.DHCPMsgTypeDiscover, layers.DHCPMsgTypeOffer); err == nil {
		t.Errorf("%s was offered", offer.YourClientIP)
	}
	return mac
}

// typeMulticast has a host join a group, which the other site's edge is asked for.
func typeMulticast(t *testing.T, m *manual, left *desk, viewer *member) {
	conn, err := listenGroup(viewer, film4, filmPort)
	must(t, err)
	defer conn.Close()
	show := m.block(t, "Multicast", 0)
	left.eventually("the group is shown", func() bool { return strings.Contains(left.types(show...), film4.String()) })
}

// typeVLAN has the right site take two VLANs and no other.
func typeVLAN(t *testing.T, m *manual, right *desk, from, to *member) {
	right.types(m.block(t, "VLANs", 0)...)
	from.meet(netip.MustParseAddr("192.168.7.3"), answerWithin) // untagged
	s, err := openRaw(from, unix.ETH_P_ALL)
	must(t, err)
	defer s.close()
	self := from.mac()
	capture := lab.Must(to.Host.Capture(overlay))
	defer capture.Stop()
	for _, vlan := range []uint16{10, 20} {
		k := frameKind{"", toAll, etherTypes(0x8100, vlan, 0x88b5), 46}
		frame := k.frame(nil, self)
		must(t, s.send(frame))
		if err := awaitFrame(capture, frame); err != nil {
			t.Errorf("VLAN %d: %v", vlan, err)
		}
	}
	before := right.edge.status().Drops["vlan"]
	other := frameKind{"", toAll, etherTypes(0x8100, 30, 0x88b5), 46}
	must(t, s.send(other.frame(nil, self)))
	awaitDrops(t, right.edge, "vlan", before+1)
}

// typeRedundancy puts a second edge with a better number on the left LAN. It forwards and
// the first one stands by, until it is gone.
func typeRedundancy(t *testing.T, m *manual) {
	left, _, here, there := m.twoSites(t)
	second := left.desk(left.home("second", 3, lab.PortRestricted), "192.168.7.2", "192.168.7.4")
	left.lan(second.host, here.Host, "192.168.7.4/24")
	site := m.block(t, "A site", 0)
	second.types(site[:len(site)-1]...)
	second.types(m.block(t, "Two edges on one LAN", 0)...)
	second.state("forwarding")
	left.state("standby")
	both := func() { // the far end is silent at first: the switches here have to hear of it
		t.Helper()
		here.meet(netip.MustParseAddr("192.168.7.12"), answerWithin)
		there.meet(netip.MustParseAddr("192.168.7.11"), answerWithin)
	}
	both()
	must(t, second.edge.Kill())
	left.state("forwarding")
	both()
}

// typeHubs has two members see only a hub, by the option, and the hub by its file.
func typeHubs(t *testing.T, m *manual) {
	w := newTown(t, 90*time.Second)
	const section = "Members that see only the hub"
	ask, line, start := m.block(t, section, 0), m.block(t, section, 1), m.block(t, section, 2)
	_, example, _ := strings.Cut(line[0], "= ")
	w.identify("desk-hub/state")
	hub := w.desk(w.home("hub", 1, lab.PortRestricted))
	id := strings.Split(hub.types(ask...), "\n")[1]
	leaf := w.desk(w.home("leaf", 2, lab.PortRestricted), example, id)
	hub.here = strings.NewReplacer(example, id, "vps.example:7654", overIPv4)
	hub.types(start...)
	leaf.types(start...)
	if h, l := hub.edge.status().Ethernet.Role, leaf.edge.status().Ethernet.Role; h != "hub" || l != "leaf" {
		t.Errorf("the hub is a %s, the leaf a %s", h, l)
	}
	leaf.edge.meet(hub.edge.addr(), answerWithin)
	hub.types("edge keygen --community town -o file")
	f, err := os.OpenFile(filepath.Join(hub.dir, "file"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(hub.here.Replace(line[0]) + "\n")
	must(t, err)
	must(t, f.Close())
	hub.types("edge --community-file file -l vps.example:7654")
	if role := hub.edge.status().Ethernet.Role; role != "hub" {
		t.Errorf("with the file the hub is a %s", role)
	}
}

// typeOneCard bridges the card by which a machine reaches the internet.
func typeOneCard(t *testing.T, m *manual) {
	w := newTown(t, 60*time.Second)
	h := w.home("single", 1, lab.PortRestricted, "192.168.7.0/24")
	d := w.desk(h)
	d.types(m.block(t, "A site", 2)...)
	if l := w.link(h, lab.HostLink); l.Master != "br0" || len(w.addresses(h, lab.HostLink)) > 0 && !strings.HasPrefix(w.addresses(h, lab.HostLink)[0], "fe80:") {
		t.Errorf("the card is %+v and has %v", l, w.addresses(h, lab.HostLink))
	}
	if got := w.addresses(h, "br0"); !slices.Contains(got, "192.168.7.2/24") {
		t.Errorf("the bridge has %v", got)
	}
	if !w.hears(h, superAddr, answerWithin) {
		t.Error("the machine does not reach the internet")
	}
}

// typeLink makes the device that batman-adv is given, and sends a frame of its largest size.
func typeLink(t *testing.T, m *manual) {
	w := newTown(t, 60*time.Second)
	a, b := w.identify("desk-a/state"), w.identify("desk-b/state")
	start := m.block(t, "batman-adv", 0)
	first := w.desk(lab.Must(w.Host("a", "203.0.113.11")), "02d7-40aa-91c6", b.ShortID())
	second := w.desk(lab.Must(w.Host("b", "203.0.113.12")), "02d7-40aa-91c6", a.ShortID())
	first.types(start...)
	second.types(start...)
	for _, d := range []*desk{first, second} {
		if l := w.link(d.host, "mesh-b"); l.MTU != 1532 {
			t.Errorf("the device is %+v", l)
		}
		d.edge.awaitCarrier("mesh-b", true, answerWithin)
	}
	self, err := net.ParseMAC(w.link(first.host, "mesh-b").Address)
	must(t, err)
	s, err := openRawOn(first.edge, "mesh-b", unix.ETH_P_ALL)
	must(t, err)
	defer s.close()
	capture := lab.Must(second.host.Capture("mesh-b"))
	defer capture.Stop()
	for _, k := range []frameKind{{"", toAll, etherTypes(0x4305, 0x000f), 60}, {"", toAll, etherTypes(0x4305, 0x040f), 1530}} {
		frame := k.frame(nil, self)
		must(t, s.send(frame))
		if err := awaitFrame(capture, frame); err != nil {
			t.Errorf("a frame of %d bytes: %v", len(frame), err)
		}
	}
}
