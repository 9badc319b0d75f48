package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// typed returns the commands of the system in a section of docs/routing.md: those of
// its blocks but for our own, with the interface of the host in the place of the document's.
func typed(t *testing.T, section string, number int) string {
	t.Helper()
	var lines []string
	for _, line := range openManual(t, "routing.md").block(t, section, number) {
		if !strings.HasPrefix(line, "edge ") {
			lines = append(lines, line+"\n")
		}
	}
	if len(lines) == 0 {
		t.Fatalf("block %d of section %q has no commands", number, section)
	}
	return strings.NewReplacer("eth0", lab.HostLink, "eth1", "lan0").Replace(strings.Join(lines, ""))
}

// network puts a LAN behind a host, and returns a machine there. The host is the router of
// the LAN, the first address of each network.
func (w *town) network(h *lab.Host, number int) *lab.Host {
	w.t.Helper()
	far := lab.Must(w.Island(fmt.Sprint("lan", number)))
	w.sh(h, fmt.Sprintf(`ip link add lan0 type veth peer name lan0 netns %s
		ip addr add 192.168.%d.1/24 dev lan0; ip addr add fd77:%[2]d::1/64 dev lan0 nodad; ip link set lan0 up`, far.Path(), number))
	w.sh(far, fmt.Sprintf(`ip addr add 192.168.%d.2/24 dev lan0; ip addr add fd77:%[1]d::2/64 dev lan0 nodad; ip link set lan0 up
		ip route add default via 192.168.%[1]d.1; ip -6 route add default via fd77:%[1]d::1`, number))
	return far
}

// routes returns what the kernel of a member has of our routes.
func (m *member) routes() (list []string) {
	m.town.t.Helper()
	for _, family := range []string{"-4", "-6"} {
		var found []struct{ Dst, Gateway, Dev, Table string }
		out := m.town.sh(m.Host, "ip -j "+family+" route show table all proto 76")
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			m.town.t.Fatalf("%v: %s", err, out)
		}
		for _, r := range found {
			list = append(list, strings.TrimSpace(r.Dst+" "+r.Table))
		}
	}
	return list
}

// awaitRoutes waits until the kernel of a member has these routes of ours.
func (m *member) awaitRoutes(within time.Duration, want ...string) {
	m.town.t.Helper()
	for began := time.Now(); !slices.Equal(m.routes(), want); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > within {
			out, _ := exec.CommandContext(m.town.ctx, programs.Edge, "routes", "--control", m.Socket).CombinedOutput()
			m.town.t.Fatalf("%s: the routes are %v and not %v after %v\n%s", m.Name, m.routes(), want, within, out)
		}
	}
}

// known returns what an edge says of the networks behind others.
func (m *member) known() control.Routes {
	m.town.t.Helper()
	v, err := m.town.Routes(m.town.ctx, m.Program)
	must(m.town.t, err)
	return v
}

// A LAN behind one edge is reached from another one that accepts it, by IPv4 and IPv6; the
// route goes with the edge, however it ends, and comes back with it.
func TestNetworkBehindEdge(t *testing.T) {
	t.Parallel()
	w := newTown(t, 170*time.Second)
	id := w.identify("gate").ShortID()
	gateHost := w.home("gate", 1, lab.PortRestricted)
	w.network(gateHost, 7)
	gate := w.join(gateHost, overIPv4, "-r", "192.168.7.0/24,fd77:7::/64", "-r", "8.8.8.0/24")
	gate.addr()
	gate.awaitNote("net.ipv4.ip_forward=1")
	gate.awaitNote("net.ipv6.conf.all.forwarding=1")
	w.sh(gateHost, typed(t, "The edge in front of the network", 0)+"sysctl -w net.ipv6.conf.all.forwarding=1")

	userHost := w.home("user", 2, lab.PortRestricted)
	w.sh(userHost, "ip tuntap add "+overlay+" mode tap") // it stays when the edge is killed
	user := w.join(userHost, overIPv4, "--accept-routes", id)
	want := []string{"192.168.7.0/24", "fd77:7::/64"}
	user.awaitRoutes(20*time.Second, want...)
	lan4, lan6 := netip.MustParseAddr("192.168.7.2"), netip.MustParseAddr("fd77:7::2")
	user.meet(lan4, 10*time.Second)
	user.meet(lan6, 10*time.Second)
	for _, r := range user.known().Routes {
		if used := r.State == control.RouteUsed; used != slices.Contains(want, r.Prefix) || r.ID != id {
			t.Errorf("%+v", r)
		}
	}
	for began := time.Now(); len(gate.status().Notes) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 20*time.Second { // no event tells of a setting
			t.Fatalf("the gateway says %q", gate.status().Notes)
		}
	}
	w.sh(gateHost, "nft add table inet fw; nft add chain inet fw forward '{ type filter hook forward priority 0; policy drop; }'")
	gate.awaitNote("nft insert rule inet fw forward iifname " + overlay + " accept")
	w.sh(gateHost, "nft delete table inet fw")

	must(t, gate.Kill())
	began := time.Now()
	user.awaitRoutes(60 * time.Second)
	t.Logf("the route of a killed edge was gone after %v", time.Since(began))
	must(t, gate.Start(w.ctx))
	user.awaitRoutes(20*time.Second, want...)
	user.meet(lan4, 10*time.Second)
	must(t, gate.Stop())
	user.awaitRoutes(5 * time.Second)
	must(t, gate.Start(w.ctx))
	user.awaitRoutes(20*time.Second, want...)

	// What somebody takes away is put back; what a killed process left goes at the next start.
	w.sh(userHost, "ip route del 192.168.7.0/24; ip link set "+overlay+" down")
	user.awaitRoutes(20*time.Second, want...)
	must(t, user.Kill())
	if left := user.routes(); !slices.Equal(left, want) {
		t.Fatalf("a killed edge left %v", left)
	}
	other := w.join(userHost, overIPv4)
	other.awaitRoutes(10 * time.Second)
	v := other.known()
	for began := time.Now(); len(v.Routes) < 3 && time.Since(began) < 20*time.Second; v = other.known() {
		time.Sleep(20 * time.Millisecond) // the gateway says them a moment later
	}
	if len(v.Routes) != 3 || slices.ContainsFunc(v.Routes, func(r control.Route) bool { return r.State != control.RouteRefused || r.Why == "" }) {
		t.Errorf("an edge that accepts none shows %+v", v.Routes)
	}
	must(t, other.Stop())
}

// Two edges are in front of one LAN. One is killed, and the other takes over.
func TestRouteTakenOver(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	far := lab.Must(w.Island("lan"))
	w.sh(far, "ip link add br0 type bridge; ip addr add 192.168.7.2/24 dev br0; ip link set br0 up")
	gates := map[string]*member{}
	for i, name := range []string{"one", "two"} {
		h := w.home(name, i+1, lab.PortRestricted)
		w.sh(h, fmt.Sprintf("ip link add lan0 type veth peer name %s netns %s; ip addr add 192.168.7.%d/24 dev lan0; ip link set lan0 up", name, far.Path(), 11+i))
		w.sh(far, fmt.Sprintf("ip link set %s master br0; ip link set %[1]s up", name))
		w.sh(h, "sysctl -w net.ipv4.ip_forward=1\n"+typed(t, "The edge in front of the network", 1))
		gates[name] = w.join(h, overIPv4, "-r", "192.168.7.0/24")
	}
	user := w.join(w.home("user", 3, lab.PortRestricted), overIPv4, "--accept-routes", "192.168.0.0/16")
	user.awaitRoutes(20*time.Second, "192.168.7.0/24")
	lan := netip.MustParseAddr("192.168.7.2")
	user.meet(lan, 10*time.Second)
	for began := time.Now(); len(user.known().Routes) < 2; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the other edge is not known: %+v", user.known())
		}
	}
	for _, r := range user.known().Routes {
		if r.State == control.RouteUsed {
			must(t, gates[r.Edge].Kill())
		}
	}
	began := time.Now()
	if _, err := user.knock(lan, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	t.Logf("the other edge had taken over after %v", time.Since(began))
}

// A gateway to the internet: what a machine sends goes by it and comes from its address,
// and the tunnel itself does not. When the gateway is gone nothing goes past it.
func TestExitGateway(t *testing.T) {
	t.Parallel()
	w := newTown(t, 150*time.Second)
	id := w.identify("gate").ShortID()
	gateHost, web := lab.Must(w.Host("gate", "203.0.113.11")), lab.Must(w.Host("web", "203.0.113.80"))
	w.sh(gateHost, typed(t, "A gateway to the internet", 0))
	gate := w.join(gateHost, overIPv4, "-r", "0.0.0.0/0")
	gate.addr()
	userHost := w.home("user", 2, lab.PortRestricted)
	user := w.join(userHost, overIPv4, "--mark", "76", "--exit", id)
	user.awaitRoutes(20*time.Second, "default 7655")
	user.awaitNote("no rule leads to the default route in table 7655")
	ends := visits(t, web)
	if from := w.visit(userHost, ends); from != "198.51.100.2" {
		t.Errorf("without rules the machine comes from %s", from)
	}
	w.sh(userHost, typed(t, "A gateway to the internet", 1))
	if from := w.visit(userHost, ends); from != "203.0.113.11" {
		t.Errorf("with rules the machine comes from %s", from)
	}
	user.reach(gate, control.PathDirect)

	// The tunnel does not carry itself: a datagram that crosses it costs little more outside.
	before := user.sent()
	conn := lab.Must(userHost.Dial(w.ctx, "udp", "203.0.113.80:9"))
	defer conn.Close()
	const datagrams = 300
	for range datagrams {
		_, _ = conn.Write(make([]byte, 1000)) // it is refused now and then, for the one before
		time.Sleep(5 * time.Millisecond)
	}
	share := float64(user.sent()-before) / float64(datagrams*(14+20+8+1000))
	t.Logf("the underlay carried %.2f times the frames", share)
	if share < 0.9 || share > recursionShare {
		t.Errorf("the underlay carried %.2f times the frames", share)
	}
	s := user.status()
	if len(s.Notes) != 0 || s.Drops["own-datagram"] != 0 || s.Supernodes[0].State != control.StateRegistered {
		t.Errorf("notes %q, drops %v, supernode %s", s.Notes, s.Drops, s.Supernodes[0].State)
	}
	user.meet(gate.addr(), answerWithin)

	must(t, gate.Stop())
	user.awaitRoutes(10 * time.Second)
	if from := w.visit(userHost, ends); from != "" {
		t.Errorf("without the gateway the machine comes from %s", from)
	}
	if s := user.status(); s.Supernodes[0].State != control.StateRegistered {
		t.Errorf("the supernode is %s", s.Supernodes[0].State)
	}
	must(t, gate.Start(w.ctx))
	user.awaitRoutes(20*time.Second, "default 7655")
	if from := w.visit(userHost, ends); from != "203.0.113.11" {
		t.Errorf("with the gateway again the machine comes from %s", from)
	}
}

// visits answers each connection with where it comes from.
func visits(t *testing.T, h *lab.Host) (at string) {
	t.Helper()
	l := lab.Must(h.Listen("tcp", net.JoinHostPort(h.Addr().String(), "80")))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	}()
	return l.Addr().String()
}

// visit returns where a host comes from in the eyes of a server, or nothing if it does not
// get there.
func (w *town) visit(h *lab.Host, at string) string {
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
		c, err := h.Dial(w.ctx, "tcp", at)
		if err != nil {
			if time.Since(began) > 2*time.Second {
				return ""
			}
			continue
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 64)
		n, _ := c.Read(b)
		c.Close()
		return string(b[:n])
	}
	return ""
}

// What the edge sends past the overlay leaves by the one interface that the user names,
// though the default route is by another.
func TestUnderlayInterface(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	h := lab.Must(w.Host("two", "203.0.113.11"))
	w.sh(h, `ip link add decoy type bridge; ip addr add 10.99.0.1/24 dev decoy; ip link set decoy up
		way=$(ip route show default | head -n 1); ip route del default; ip route add $way metric 9; ip route add default dev decoy`)
	m := w.join(h, overIPv4, "--underlay-interface", lab.HostLink)
	w.await(m.Program, "ready")
	out, err := h.Command(w.ctx, programs.Edge, "-c", "x", "-k", "correct horse battery staple", "-l", overIPv4, "--underlay-interface", "gone0", "--state-dir", t.TempDir(), "-d", "other0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "there is no interface gone0") {
		t.Errorf("%v: %s", err, out)
	}
}
