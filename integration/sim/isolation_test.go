package sim

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// yard is an isolated community of hubs and leaves.
type yard struct {
	w       *World
	sn      *Supernode
	members []*Edge
	hubs    int // the first ones

	mu  sync.Mutex
	got map[string]int // frames, by payload and receiver
}

// newYard starts a community whose first members are its hubs. Who is one stands in the
// community's file, or is an option.
func newYard(t *testing.T, nat nattest.Behavior, hubs, leaves int, byOption bool) *yard {
	y := &yard{w: New(t, 88), hubs: hubs, got: make(map[string]int)}
	y.sn = y.w.Supernode(supernodeAddr)
	var list []string
	for i := range hubs {
		id := crypto.NewIdentity(y.w.key(1000 + y.w.made + uint64(i) + 1)) // the next that the world makes
		list = append(list, crypto.EncodeHubs([][32]byte{[32]byte(id.ID)}))
	}
	named, err := crypto.ParseHubs(strings.Join(list, " "))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Supernodes: []*Supernode{y.sn}, Address: none, Ethernet: edge.Ethernet{Bridge: true, Storm: -1}}
	if byOption {
		o.Ethernet.Hubs = named
	} else {
		y.w.Community.Hubs = named
	}
	for i := range hubs + leaves {
		o.Name = fmt.Sprint("member ", i)
		o.Deliver = func(frame []byte) {
			y.mu.Lock()
			defer y.mu.Unlock()
			if f := protocol.Frame(frame); f.EtherType() == EtherType {
				y.got[fmt.Sprint(string(frame[14:]), " at ", i)]++
			}
		}
		y.members = append(y.members, y.w.Edge(behind(nat)(y.w.Net, i), o))
	}
	return y
}

// stop ends everybody.
func (y *yard) stop() {
	for _, m := range y.members {
		m.Stop()
	}
	y.sn.Stop()
}

// came returns how often what was sent came to a member.
func (y *yard) came(what string, to int) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.got[fmt.Sprint(what, " at ", to)]
}

// round has everybody send to everybody, and each host flood: whatever concerns a hub comes
// just once and at once, and nothing between leaves.
func (y *yard) round(t *testing.T, name string) {
	t.Helper()
	for i, m := range y.members {
		for k, other := range y.members {
			if i != k {
				m.Send(other.MAC, fmt.Appendf(nil, "%s: %d to %d", name, i, k))
			}
		}
		m.Send(protocol.Broadcast, fmt.Appendf(nil, "%s: %d to all", name, i))
		m.Device.Inject(Frame(protocol.MAC{2, 0xaa, 0, 0, 0, 1}, protocol.MAC{2, 0xbb, 0, 0, 0, byte(i)}, fmt.Appendf(nil, "%s: host %d to another", name, i)))
	}
	time.Sleep(2 * time.Second)
	for i := range y.members {
		for k := range y.members {
			want := 1
			if i == k || i >= y.hubs && k >= y.hubs {
				want = 0
			}
			for _, what := range []string{fmt.Sprintf("%s: %d to %d", name, i, k), fmt.Sprintf("%s: %d to all", name, i), fmt.Sprintf("%s: host %d to another", name, i)} {
				if got := y.came(what, k); got != want {
					t.Errorf("%q came %d times to %d, want %d", what, got, k, want)
				}
			}
		}
	}
}

// apart fails if a leaf has a session with another.
func (y *yard) apart(t *testing.T) {
	t.Helper()
	for i, m := range y.members {
		peers, err := m.Edge.Peers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reached := 0
		for _, p := range peers {
			if p.Path != "none" {
				reached++
				if i >= y.hubs && p.Ethernet.Role != "hub" {
					t.Errorf("leaf %d reaches %s, which is no hub", i, p.Name)
				}
			}
		}
		if want := y.hubs; i >= y.hubs && reached != want {
			t.Errorf("leaf %d reaches %d hubs of %d", i, reached, want)
		}
		status, role := m.status(), "leaf"
		if i < y.hubs {
			role = "hub"
		}
		if status.Ethernet.Role != role || len(status.Notes) > 0 {
			t.Errorf("member %d says that it is a %s, with the notes %q", i, status.Ethernet.Role, status.Notes)
		}
		if err := m.Edge.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestHubsAndLeaves runs a community with two hubs and three leaves, with direct paths and
// with none, named in the file and by option: two seconds after the start hubs exchange
// frames with everybody, and leaves with nobody else; also after a hub has come again, and
// after half an hour in which nobody said anything.
func TestHubsAndLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		nat      nattest.Behavior
		byOption bool
	}{
		"direct":              {nattest.PortRestricted, false},
		"relayed, by options": {nattest.Symmetric, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				y := newYard(t, c.nat, 2, 3, c.byOption)
				time.Sleep(listening)
				y.round(t, "cold")
				time.Sleep(10 * time.Second)
				y.apart(t)
				y.round(t, "warm")
				time.Sleep(span(30*time.Minute, 16*time.Minute)) // longer than a session that nobody uses
				y.round(t, "after silence")
				y.members[0].Stop()
				time.Sleep(time.Minute)
				y.members[0].Start()
				time.Sleep(listening)
				y.round(t, "after a restart")
				time.Sleep(10 * time.Second)
				y.apart(t)
				y.stop()
			})
		})
	}
}

// listening is for how long a bridge listens before it passes anything, and some more in
// which it finds the others.
const listening = 3 * time.Second
