package integration

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// documented returns the block of code in docs/p2p.md that stands beneath the name of a
// file.
func documented(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "p2p.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, named := strings.Cut(string(b), "`"+file+"`:\n\n```")
	_, rest, _ = strings.Cut(rest, "\n")
	block, _, ended := strings.Cut(rest, "```\n")
	if !named || !ended {
		t.Fatalf("docs/p2p.md shows no %s", file)
	}
	return block
}

// mesh is three edges with links to each other. Only the middle one speaks IPv4 and IPv6,
// so that the link of the two others is relayed.
type mesh struct {
	*town
	members map[string]*member
	dirs    map[string]string     // for the files of a routing daemon
	routers map[string]netip.Addr // an address of each on its own LAN, br-lan
}

// newMesh starts the edges, each with what more says. The devices are mesh-a, mesh-b and
// mesh-c, named after the far end.
func newMesh(t *testing.T, more func(m *mesh, name string) []string) *mesh {
	m := &mesh{town: newTown(t, 200*time.Second), members: map[string]*member{}, dirs: map[string]string{}, routers: map[string]netip.Addr{}}
	ids := map[string]*crypto.Identity{}
	hosts := map[string]*lab.Host{
		"a": lab.Must(m.Host("a", "198.51.100.11")),
		"b": lab.Must(m.Host("b", "198.51.100.12", "2001:db8:6::2")),
		"c": lab.Must(m.Host("c", "2001:db8:6::3")),
	}
	for i, name := range []string{"a", "b", "c"} {
		ids[name] = m.identify(name)
		m.dirs[name] = t.TempDir()
		m.routers[name] = netip.MustParseAddr(fmt.Sprintf("fd00:77:%d::1", i+1))
		if err := m.route(name, hosts[name]); err != nil {
			t.Fatal(err)
		}
	}
	for name, h := range hosts {
		supernode := overIPv4
		if name == "c" {
			supernode = overIPv6
		}
		args := more(m, name)
		for other, id := range ids {
			if other != name {
				args = append(args, "--p2p", id.ShortID()+"=mesh-"+other)
			}
		}
		m.members[name] = m.join(h, supernode, args...)
	}
	return m
}

// route gives a host a LAN of its own, and lets the host route.
func (m *mesh) route(name string, h *lab.Host) error {
	if err := h.Sysctl("net/ipv6/conf/all/forwarding", "1"); err != nil {
		return err
	}
	return h.Do(func() error {
		lan := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "br-lan"}, PeerName: "station"}
		if err := netlink.LinkAdd(lan); err != nil {
			return err
		}
		station, err := netlink.LinkByName("station")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(m.routers[name].String() + "/64")
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetUp(station), netlink.LinkSetUp(lan), netlink.AddrAdd(lan, a))
	})
}

// routed waits until the route from one to another leads through a device, and the other
// answers.
func (m *mesh) routed(from, to, device string, within time.Duration) {
	m.t.Helper()
	got := ""
	for began := time.Now(); time.Since(began) < within; time.Sleep(100 * time.Millisecond) {
		err := m.members[from].Host.Do(func() error {
			list, err := netlink.RouteGet(m.routers[to].AsSlice())
			if err != nil || len(list) == 0 {
				return err
			}
			link, err := netlink.LinkByIndex(list[0].LinkIndex)
			if err == nil {
				got = link.Attrs().Name
			}
			return err
		})
		if err == nil && got == device {
			m.members[from].meet(m.routers[to], 10*time.Second)
			m.t.Logf("%s reaches %s by %s after %v", from, to, device, time.Since(began).Round(100*time.Millisecond))
			return
		}
	}
	m.t.Fatalf("%s reaches %s by %q, not by %s", from, to, got, device)
}

// OSPF with the files of docs/p2p.md prefers two direct links to a relayed one, and goes
// over to that when one of the two is not direct any more.
func TestLinksWithOSPF(t *testing.T) {
	t.Parallel()
	bird := lab.Program(t, "bird", "bird2")
	m := newMesh(t, func(m *mesh, name string) []string {
		dir := m.dirs[name]
		here := strings.NewReplacer("/etc/bird/", dir+"/", "birdc", "birdc -s "+dir+"/ctl", "10.0.0.1", "10.0.0."+fmt.Sprint(1+name[0]-'a'))
		if err := os.Mkdir(filepath.Join(dir, "mesh"), 0o755); err != nil {
			t.Fatal(err)
		}
		for file, mode := range map[string]os.FileMode{"bird.conf": 0o644, "mesh-cost": 0o755} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(here.Replace(documented(t, "/etc/bird/"+file))), mode); err != nil {
				t.Fatal(err)
			}
		}
		return []string{"--on-path-change", filepath.Join(dir, "mesh-cost")}
	})
	for name, e := range m.members {
		daemon := lab.Must(m.Run(m.ctx, e.Host, "bird-"+name, "", bird, "-f", "-c", filepath.Join(m.dirs[name], "bird.conf"), "-s", filepath.Join(m.dirs[name], "ctl")))
		m.watch(daemon)
	}
	m.routed("a", "b", "mesh-b", 90*time.Second)
	m.routed("a", "c", "mesh-b", 60*time.Second)
	m.routed("c", "a", "mesh-b", 60*time.Second)
	if p := m.members["a"].peer("c"); p.Path != control.PathRelay || p.Link == nil || p.Link.Cost <= 2*96 {
		t.Errorf("the relayed link is %+v", p)
	}
	if err := m.Internet().SetPathLoss(netip.MustParseAddr("198.51.100.11"), netip.MustParseAddr("198.51.100.12"), 100); err != nil {
		t.Fatal(err)
	}
	m.routed("a", "c", "mesh-c", 60*time.Second)
	// A neighbour that is gone is not waited for: the carrier tells.
	if err := m.members["c"].Stop(); err != nil {
		t.Fatal(err)
	}
	m.members["a"].awaitCarrier("mesh-c", false, 5*time.Second)
}

// Babel with the file of docs/p2p.md finds the way around a neighbour that is gone.
func TestLinksWithBabel(t *testing.T) {
	t.Parallel()
	babeld := lab.Program(t, "babeld", "babeld")
	m := newMesh(t, func(*mesh, string) []string { return nil })
	for name, e := range m.members {
		dir := m.dirs[name]
		conf := strings.Replace(documented(t, "/etc/babeld.conf"), "interface mesh-"+name+"\n", "", 1)
		if err := os.WriteFile(filepath.Join(dir, "babeld.conf"), []byte(conf), 0o644); err != nil {
			t.Fatal(err)
		}
		e.addr()
		daemon := lab.Must(m.Run(m.ctx, e.Host, "babeld-"+name, "", babeld, "-c", filepath.Join(dir, "babeld.conf"), "-S", filepath.Join(dir, "state"), "-I", filepath.Join(dir, "pid")))
		m.watch(daemon)
	}
	m.routed("a", "c", "mesh-c", 90*time.Second)
	m.routed("c", "b", "mesh-b", 60*time.Second)
	if err := m.members["c"].Host.Do(func() error {
		link, err := netlink.LinkByName("mesh-a")
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	}); err != nil {
		t.Fatal(err)
	}
	m.routed("a", "c", "mesh-b", 90*time.Second) // it has to miss hellos first
	m.routed("c", "a", "mesh-b", 10*time.Second)
}
