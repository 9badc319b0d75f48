package sim

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/edge/subnet"
	"hedgerow/nat/nattest"
)

// routeTable is the routing table of a host whose LAN is 192.168.1.0/24.
type routeTable struct {
	mu   sync.Mutex
	list []subnet.Route
}

// SetRoutes notes what the edge sets.
func (r *routeTable) SetRoutes(list []subnet.Route) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.Clone(list)
	return nil
}

// Networks returns the LAN.
func (r *routeTable) Networks() []subnet.Network {
	return []subnet.Network{{Interface: "eth0", Prefix: netip.MustParsePrefix("192.168.1.0/24")}}
}

// via returns the next hop to a network; not valid: there is none.
func (r *routeTable) via(network netip.Prefix) netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.list {
		if x.Prefix == network {
			return x.Via
		}
	}
	return netip.Addr{}
}

// await waits until the next hop holds, and returns for how long.
func (r *routeTable) await(t *testing.T, network netip.Prefix, most time.Duration, holds func(netip.Addr) bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		took := time.Since(began)
		if holds(r.via(network)) {
			return took
		}
		if took > most {
			t.Fatalf("the next hop to %v is %v after %v", network, r.via(network), took)
		}
	}
}

// address returns the overlay's IPv4 address of an edge.
func (e *Edge) address(t *testing.T) netip.Addr {
	t.Helper()
	for _, text := range e.status().Prefixes {
		if p := netip.MustParsePrefix(text); p.Addr().Is4() {
			return p.Addr()
		}
	}
	t.Fatal("no address")
	return netip.Addr{}
}

// announcing are the options of an edge in front of networks.
func announcing(sn *Supernode, name string, networks ...string) Options {
	o := Options{Name: name, Supernodes: []*Supernode{sn}, State: true}
	for _, n := range networks {
		o.Address.Subnets.Announce = append(o.Address.Subnets.Announce, netip.MustParsePrefix(n))
	}
	return o
}

// Two edges are in front of one network, and a third one accepts it, without a frame of
// anybody. One is used; it dies, and the other takes over within three seconds, by whatever
// path; that one leaves, and the route is gone at once. It comes back without the network,
// and nobody has a route; with it, and the route is there again.
func TestNetworkBehindTwoEdges(t *testing.T) {
	for name, b := range bothPaths {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 61)
				sn := w.Supernode(supernodeAddr)
				network := netip.MustParsePrefix("10.9.0.0/16")
				gates := []*Edge{w.Edge(behind(b)(w.Net, 0), announcing(sn, "one", "10.9.0.0/16")), w.Edge(behind(b)(w.Net, 1), announcing(sn, "two", "10.9.0.0/16"))}
				table := new(routeTable)
				policy, _ := subnet.ParsePolicy("10.0.0.0/8")
				user := w.Edge(behind(b)(w.Net, 2), Options{Name: "user", Supernodes: []*Supernode{sn}, Address: edge.Address{Subnets: edge.Subnets{Accept: policy, Table: table}}})
				t.Logf("a route after %v", table.await(t, network, 15*time.Second, netip.Addr.IsValid))
				time.Sleep(10 * time.Second) // both are known
				if r, err := user.Edge.Routes(t.Context()); err != nil || len(r.Routes) != 2 || r.Routes[0].State != control.RouteUsed || r.Routes[1].State != control.RouteSpare {
					t.Fatalf("%+v, %v", r, err)
				}
				used, spare := gates[0], gates[1]
				if used.address(t) != table.via(network) {
					used, spare = spare, used
				}
				time.Sleep(10 * time.Minute) // sessions are renewed, and nobody says anything
				at := used.address(t)
				if table.via(network) != at {
					t.Fatalf("the route has moved to %v", table.via(network))
				}
				other := spare.address(t)
				used.Kill()
				took := table.await(t, network, 3*time.Second, func(a netip.Addr) bool { return a == other })
				t.Logf("taken over after %v", took)
				time.Sleep(30 * time.Second) // by then the first one is given up
				spare.Stop()
				table.await(t, network, time.Second, func(a netip.Addr) bool { return !a.IsValid() })
				networks := spare.options.Address.Subnets.Announce
				spare.options.Address.Subnets.Announce = nil
				spare.Start()
				time.Sleep(30 * time.Second)
				if a := table.via(network); a.IsValid() {
					t.Errorf("a route by %v, which announces none", a)
				}
				spare.Stop()
				spare.options.Address.Subnets.Announce = networks
				spare.Start()
				table.await(t, network, 15*time.Second, func(a netip.Addr) bool { return a == other })
				spare.Stop()
				user.Stop()
				if table.via(network).IsValid() {
					t.Error("the route is there after the end")
				}
				sn.Stop()
			})
		})
	}
}

// A member announces the networks that everybody is reached in. Nobody sends packets
// there, and the members go on.
func TestHostileRouters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 62)
		sn := w.Supernode(supernodeAddr)
		hostile := w.Edge(public4(w.Net, 7), announcing(sn, "hostile", netip.PrefixFrom(supernodeAddr, 24).Masked().String(), "198.51.100.0/24", "192.168.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "10.9.0.0/16", "8.8.8.0/24"))
		honest := w.Edge(behind(nattest.PortRestricted)(w.Net, 1), announcing(sn, "honest", "172.16.5.0/24"))
		table := new(routeTable)
		policy, _ := subnet.ParsePolicy("all")
		user := w.Edge(behind(nattest.PortRestricted)(w.Net, 2), Options{Name: "user", Supernodes: []*Supernode{sn}, Address: edge.Address{Subnets: edge.Subnets{Accept: policy, Table: table}}})
		table.await(t, netip.MustParsePrefix("172.16.5.0/24"), 15*time.Second, netip.Addr.IsValid)
		time.Sleep(5 * time.Minute)
		r, err := user.Edge.Routes(t.Context())
		if err != nil || len(r.Routes) != 8 {
			t.Fatalf("%+v, %v", r.Routes, err)
		}
		for _, x := range r.Routes {
			good := x.Prefix == "172.16.5.0/24" || x.Prefix == "10.9.0.0/16" && !netip.MustParsePrefix("10.9.0.0/16").Contains(user.address(t))
			if (x.State == control.RouteUsed) != good {
				t.Errorf("%+v", x)
			}
		}
		peers, err := user.Edge.Peers(t.Context())
		if err != nil || len(peers) != 2 || peers[0].Path != control.PathDirect || peers[1].Path != control.PathDirect {
			t.Errorf("%+v, %v", peers, err)
		}
		for _, e := range []*Edge{user, honest, hostile} {
			e.Stop()
		}
		sn.Stop()
	})
}
