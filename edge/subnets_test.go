package edge

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/subnet"
	"hedgerow/protocol"
)

// routeTable is a kernel's routing table.
type routeTable struct {
	routes   []subnet.Route
	networks []subnet.Network
	err      error
	sets     int
}

func (r *routeTable) SetRoutes(list []subnet.Route) error {
	r.routes, r.sets = list, r.sets+1
	return r.err
}

func (r *routeTable) Networks() []subnet.Network { return r.networks }

func network(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// accepting returns an edge with an address, and its routing table.
func accepting(t *testing.T, accept string) (*testEdge, *routeTable) {
	t.Helper()
	policy, err := subnet.ParsePolicy(accept)
	if err != nil {
		t.Fatal(err)
	}
	policy.Exit = hex.EncodeToString(testIdentity(9).ID[:6])
	table := &routeTable{networks: []subnet.Network{{Interface: "wlan0", Prefix: network("192.168.1.0/24")}}}
	e := newEdge(t, func(c *Config) {
		c.Address.Subnets = Subnets{Accept: policy, Table: table, Announce: []netip.Prefix{network("192.168.200.0/24"), network("0.0.0.0/0")}}
	})
	e.servers.addresses.prefixes = append(e.servers.addresses.prefixes, network("10.64.0.1/24"))
	return e, table
}

// router returns a peer with a lease that says at a time that networks are behind it.
func (e *testEdge) router(n byte, networks ...string) *peer {
	e.tb.Helper()
	p := e.neighbour(n)
	e.data.guard.leased(p, e.servers.list[0], netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 64, 0, n}), 24))
	p.view.SetFeatures(protocol.FeatureRoutes)
	p.place.router = true
	p.view.SetHeard(e.data.plane.Since(noon))
	e.peers.mark(p)
	e.settle(noon)
	e.announces(noon, p, 1, networks...)
	return p
}

// announces has a peer say which networks are behind it.
func (e *testEdge) announces(now time.Time, p *peer, serial uint64, networks ...string) {
	e.tb.Helper()
	m := protocol.Routes{Serial: serial}
	for _, n := range networks {
		m.List = append(m.List, network(n))
	}
	e.paths.subnets.handle(now, p, m)
	e.settle(now)
	e.pass(now)
}

// wantRoutes fails unless the routes are those of a list such as "10.1.0.0/16 via 10.64.0.2".
func (r *routeTable) wantRoutes(t *testing.T, what string, want ...string) {
	t.Helper()
	var got []string
	for _, x := range r.routes {
		got = append(got, fmt.Sprintf("%s via %s", x.Prefix, x.Via))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: routes %v, want %v", what, got, want)
	}
}

// why returns why a network is not used.
func (e *testEdge) why(n string) string {
	for _, r := range e.paths.subnets.status(noon).Routes {
		if r.Prefix == n {
			return string(r.State) + ": " + r.Why
		}
	}
	return "not known"
}

// A peer may announce what it likes: packets go to it for what can be meant, and the user
// reads why for nothing else.
func TestHostileNetworks(t *testing.T) {
	e, table := accepting(t, "all")
	p := e.neighbour(5) // a path to 203.0.113.5
	if r := p.view.Route(); r.Direct.Addr().String() != "203.0.113.5" {
		t.Fatalf("the path is %v", r.Direct)
	}
	e.servers.list[0].where.addrs = []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:7654")}
	ula := e.keys.community.ULA(e.cfg.Identity.ID).Masked().String()
	cases := map[string]string{
		"192.168.7.0/24":     "used: ",
		"fd77:1::/48":        "used: ",
		"0.0.0.0/0":          "refused: is a default route, and that is taken from the edge alone that --exit names",
		"::/0":               "refused: is a default route",
		"0.0.0.0/1":          "refused: is most of the internet",
		"128.0.0.0/1":        "refused: is most of the internet",
		"2000::/3":           "refused: is most of the internet",
		"8.8.8.0/24":         "refused: is public",
		"2001:4860::/32":     "refused: is public",
		"127.0.0.0/8":        "refused: has addresses that nobody routes",
		"169.254.0.0/16":     "refused: has addresses that nobody routes",
		"224.0.0.0/8":        "refused: has addresses that nobody routes",
		"fe80::/16":          "refused: has addresses that nobody routes",
		"ff00::/16":          "refused: has addresses that nobody routes",
		"10.64.0.0/16":       "refused: overlaps the community's own network",
		"10.64.0.9/32":       "refused: overlaps the community's own network",
		ula:                  "refused: overlaps the community's own network",
		"192.168.1.128/25":   "refused: overlaps wlan0 (192.168.1.0/24) of this host",
		"192.168.0.0/20":     "refused: overlaps wlan0 (192.168.1.0/24) of this host",
		"192.168.200.128/25": "refused: overlaps a network that is behind this edge",
		"203.0.113.4/30":     "refused: holds 203.0.113.5, which the overlay itself is carried by",
		"198.51.100.7/32":    "refused: holds 198.51.100.7, which the overlay itself is carried by",
	}
	var list []string
	for n := range cases {
		list = append(list, n)
	}
	e.router(2, list...)
	for n, want := range cases {
		if got := e.why(n); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", n, got, want)
		}
	}
	table.wantRoutes(t, "all", "192.168.7.0/24 via 10.64.0.2", "fd77:1::/48 via "+e.keys.community.ULA(testIdentity(2).ID).Addr().String())
	notes := strings.Join(e.paths.subnets.notes(), "\n")
	if !strings.Contains(notes, "[E42]") || strings.Contains(notes, "8.8.8.0") || strings.Count(notes, "\n") >= routeNotes {
		t.Errorf("the notes are %q", notes)
	}
}

// A peer comes to be reached in a network that is routed to: the route goes.
func TestRouteNeverHoldsThePath(t *testing.T) {
	e, table := accepting(t, "all")
	p := e.router(2, "203.0.113.64/26")
	table.wantRoutes(t, "at first", "203.0.113.64/26 via 10.64.0.2")
	e.neighbour(70)
	now := noon.Add(subnetsEvery)
	p.view.SetHeard(e.data.plane.Since(now))
	e.pass(now)
	table.wantRoutes(t, "with a path inside")
}

// Of several edges the nearer is used, and stays; when it is not heard another one takes
// over within three seconds, and nothing is used when nobody is reached.
func TestTwoRouters(t *testing.T) {
	e, table := accepting(t, "all")
	p, q := e.router(2, "10.9.0.0/16"), e.router(3, "10.9.0.0/16")
	table.wantRoutes(t, "two", "10.9.0.0/16 via 10.64.0.2")
	if got := e.why("10.9.0.0/16"); got != "used: " {
		t.Errorf("%s", got)
	}
	if r := e.paths.subnets.status(noon).Routes[1]; r.State != control.RouteSpare || r.ID != q.shortID() || !strings.Contains(r.Why, p.title()) || r.Cost == 0 {
		t.Errorf("the other one is %+v", r)
	}
	now := noon
	for ; len(table.routes) == 1 && table.routes[0].Via.String() == "10.64.0.2" && now.Sub(noon) < 10*time.Second; now = now.Add(100 * time.Millisecond) {
		q.view.SetHeard(e.data.plane.Since(now)) // and p is silent
		e.pass(now)
	}
	table.wantRoutes(t, "one is silent", "10.9.0.0/16 via 10.64.0.3")
	if d := now.Sub(noon); d > 3400*time.Millisecond {
		t.Errorf("another one took over after %v", d)
	}
	p.view.SetHeard(e.data.plane.Since(now)) // it is back, and no nearer than the other
	now = now.Add(subnetsEvery)
	q.view.SetHeard(e.data.plane.Since(now))
	e.pass(now)
	table.wantRoutes(t, "back", "10.9.0.0/16 via 10.64.0.3")
	e.sessions.closed(q)
	e.settle(now)
	e.pass(now)
	table.wantRoutes(t, "good-bye", "10.9.0.0/16 via 10.64.0.2")
	e.peers.forget(p)
	e.settle(now)
	e.pass(now)
	table.wantRoutes(t, "forgotten")
}

// A peer that restarts without networks, or with others, is believed at once, and no older
// word of it is.
func TestWithdrawnNetworks(t *testing.T) {
	e, table := accepting(t, "10.0.0.0/8")
	p := e.router(2, "10.9.0.0/16", "192.168.7.0/24")
	table.wantRoutes(t, "within the list", "10.9.0.0/16 via 10.64.0.2")
	e.announces(noon, p, 2, "10.8.0.0/16", "10.8.0.0/16")
	e.announces(noon, p, 1, "10.9.0.0/16")
	table.wantRoutes(t, "another one", "10.8.0.0/16 via 10.64.0.2")
	if !p.place.routed || !e.peers.active(noon.Add(time.Hour), p) {
		t.Error("the peer is not kept in use")
	}
	p.place.router = false
	e.peers.mark(p)
	e.settle(noon)
	e.pass(noon)
	table.wantRoutes(t, "restarted without")
	if p.place.routed || e.paths.subnets.kept != [2]int{} {
		t.Errorf("it is still in use; %v are kept", e.paths.subnets.kept)
	}
	e.paths.subnets.end()
}

// A default route is taken from the one edge that the user has named, and needs no room
// among the networks of this host.
func TestExit(t *testing.T) {
	e, table := accepting(t, "none")
	e.router(2, "0.0.0.0/0", "10.9.0.0/16")
	table.wantRoutes(t, "another edge")
	e.router(9, "0.0.0.0/0", "::/0", "10.9.0.0/16")
	table.wantRoutes(t, "the exit", "0.0.0.0/0 via 10.64.0.9", "::/0 via "+e.keys.community.ULA(testIdentity(9).ID).Addr().String())
}

// However many identities announce however much, as many networks are kept as there are
// places, those that the policy accepts have places of their own, and a route in use stays.
func TestNetworksBounded(t *testing.T) {
	e, table := accepting(t, hex.EncodeToString(testIdentity(2).ID[:6]))
	list := func(n int) (all []string) {
		for i := range protocol.MaxRoutes {
			all = append(all, fmt.Sprintf("10.%d.%d.0/24", 100+n%100, i))
		}
		return all
	}
	for n := 10; n < 250; n++ {
		e.router(byte(n), list(n)...)
	}
	if got := e.paths.subnets.kept; got != [2]int{0, maxShown} || e.drops()["routes-full"] == 0 {
		t.Errorf("%v are kept, counted %v", got, e.drops())
	}
	e.router(2, "10.9.0.0/16")
	table.wantRoutes(t, "among many", "10.9.0.0/16 via 10.64.0.2")

	e, table = accepting(t, "all")
	e.router(2, "10.200.0.0/16")
	for n := 10; n < 250; n++ {
		e.router(byte(n), list(n)...)
	}
	if n := len(table.routes); n != maxRoutes || e.paths.subnets.kept[0] != maxAccepted {
		t.Errorf("%d routes, %v networks", n, e.paths.subnets.kept)
	}
	if !slices.ContainsFunc(table.routes, func(r subnet.Route) bool { return r.Prefix == network("10.200.0.0/16") }) {
		t.Error("the route that was there first has gone")
	}
}

// The kernel's routes are compared every few seconds, and a refusal is told.
func TestRoutesAgain(t *testing.T) {
	e, table := accepting(t, "all")
	table.err = errors.New("no such device")
	p := e.router(2, "10.9.0.0/16")
	if notes := strings.Join(e.paths.subnets.notes(), "\n"); !strings.Contains(notes, "no such device") {
		t.Errorf("the notes are %q", notes)
	}
	table.err = nil
	sets := table.sets
	for now := noon; now.Before(noon.Add(20 * time.Second)); now = now.Add(subnetsEvery) {
		p.view.SetHeard(e.data.plane.Since(now))
		e.pass(now)
	}
	if n := table.sets - sets; n < 4 || n > 6 {
		t.Errorf("the routes were set %d times in 20 s", n)
	}
	if notes := e.paths.subnets.notes(); len(notes) != 0 {
		t.Errorf("the notes are %q", notes)
	}
	table.networks = []subnet.Network{{Interface: "vpn0", Prefix: network("10.9.9.0/24")}}
	(*networkObserver)(e.Edge).NetworkChanged(noon.Add(20 * time.Second))
	p.view.SetHeard(e.data.plane.Since(noon.Add(20 * time.Second)))
	e.pass(noon.Add(20 * time.Second))
	table.wantRoutes(t, "a network of this host came")
}

// A peer that does not answer is asked again, and one that asks is answered.
func TestAskRoutes(t *testing.T) {
	e, _ := accepting(t, "none")
	p := e.neighbour(2)
	p.place.router = true
	e.peers.mark(p)
	e.settle(noon)
	asked := 0
	for now := noon; now.Before(noon.Add(time.Minute)); now = now.Add(500 * time.Millisecond) {
		before := e.paths.subnets.of[p].again
		e.pass(now)
		if e.paths.subnets.of[p].again != before {
			asked++
		}
	}
	if asked < 4 || asked > 6 {
		t.Errorf("asked %d times more in a minute", asked)
	}
	if waits := e.paths.subnets.greet(noon); !waits {
		t.Error("nobody is waited for")
	}
	e.announces(noon, p, 1)
	if waits := e.paths.subnets.greet(noon); waits {
		t.Error("somebody is waited for who has answered")
	}
	if v := e.paths.subnets.status(noon); !slices.Equal(v.Announced, []string{"192.168.200.0/24", "0.0.0.0/0"}) || len(v.Routes) != 0 {
		t.Errorf("%+v", v)
	}
}

// A configuration with networks that nobody can have is refused.
func TestSubnetsValidated(t *testing.T) {
	cfg := testConfig()
	cfg.Address.Subnets.Announce = append(slices.Repeat([]netip.Prefix{network("10.1.0.0/16")}, protocol.MaxRoutes), network("127.0.0.0/8"))
	if err := cfg.validate(); err == nil || !strings.Contains(err.Error(), "33 networks") || !strings.Contains(err.Error(), "127.0.0.0/8 has addresses") {
		t.Errorf("%v", err)
	}
}

// The path to a peer without a session is not watched: each look at the networks behind it
// made a ping due at a time that was over, which nobody sends.
func TestSubnetsOfPeerWithoutSession(t *testing.T) {
	e, _ := accepting(t, "all")
	p := e.router(2, "192.168.7.0/24")
	p.reach.relay.ping.sent = noon // and was never answered
	e.sessions.closed(p)
	e.settle(noon)
	for now := noon; now.Before(noon.Add(5 * time.Second)); now = now.Add(100 * time.Millisecond) {
		e.pass(now)
		for _, o := range e.owners {
			if at := o.deadline(); !at.IsZero() && !at.After(now) {
				t.Fatalf("%T looks again at %v, now is %v", o, at, now)
			}
		}
	}
}
