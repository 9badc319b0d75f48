package sim

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/internal/waiter"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
	"hedgerow/tap/taptest"
)

// linkEnd is one end of a link: its device, and what became of the carrier.
type linkEnd struct {
	*taptest.Device
	mac protocol.MAC

	mu      sync.Mutex
	up      bool
	changes int
	got     map[uint32]int // frames by number
}

// newLinkEnd makes the end that an edge has of its link with another one.
func newLinkEnd(own, peer *crypto.Identity, cid [16]byte) *linkEnd {
	l := &linkEnd{mac: protocol.MAC(crypto.LinkMAC([6]byte(own.ID), [6]byte(peer.ID), cid)), got: make(map[uint32]int)}
	l.Device = taptest.New(taptest.Options{Deliver: func(frame []byte) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if n := protocol.EthernetLen; len(frame) >= n+4 {
			l.got[binary.BigEndian.Uint32(frame[n:])]++
		}
	}})
	return l
}

// SetCarrier notes what the edge says.
func (l *linkEnd) SetCarrier(up bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up != up {
		l.up = up
		l.changes++
	}
	return nil
}

// state returns whether there is a carrier, and how often that has changed.
func (l *linkEnd) state() (up bool, changes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up, l.changes
}

// link is the end as the edge gets it.
func (l *linkEnd) link(peer *crypto.Identity) edge.Link {
	return edge.Link{Peer: peer.ID[:crypto.LinkPrefixLen], Name: "mesh", Device: l, Frames: l.Device, Waiter: waiter.NewChannels(l.Ready())}
}

// hello sends a frame with a number to all at the other end.
func (l *linkEnd) hello(n uint32) {
	l.Inject(Frame(protocol.MAC{1, 0, 0x5e, 0, 0, 5}, l.mac, binary.BigEndian.AppendUint32(nil, n)))
}

// heard returns how many frames with a number have come.
func (l *linkEnd) heard(n uint32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got[n]
}

// count returns how many frames have come.
func (l *linkEnd) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.got {
		n += times
	}
	return n
}

// A hundred members with a link to one that makes a device for each: all are up, in both
// directions, within five seconds of the start of the last, and each hears its own
// neighbour alone.
func TestHundredLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members = 100
		w := New(t, 31)
		s := w.Supernode(supernodeAddr)
		defer s.Stop()
		var mu sync.Mutex
		near := make(map[[32]byte]*linkEnd) // the hub's ends, by the member's identity
		numbers := make(map[int]bool)
		hubIdentity := crypto.NewIdentity(w.key(1000 + w.made + 1)) // the next that the world makes
		cid := w.Community.ID()
		hub := w.Edge(public4(w.Net, 1), Options{Name: "hub", Supernodes: []*Supernode{s}, Links: edge.Links{Open: func(id [32]byte, n int) (edge.Link, error) {
			mu.Lock()
			defer mu.Unlock()
			peer := &crypto.Identity{ID: id[:]}
			near[id], numbers[n] = newLinkEnd(hubIdentity, peer, cid), true
			return near[id].link(peer), nil
		}}})
		defer hub.Stop()
		far := make(map[[32]byte]*linkEnd)
		for i := range members {
			id := crypto.NewIdentity(w.key(1000 + w.made + 1))
			l := newLinkEnd(id, hubIdentity, cid)
			far[[32]byte(id.ID)] = l
			e := w.Edge(public4(w.Net, 2+i), Options{Name: fmt.Sprint("member ", i), Supernodes: []*Supernode{s}, Links: edge.Links{Named: []edge.Link{l.link(hubIdentity)}}})
			defer e.Stop()
		}
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(near) != members || len(numbers) != members {
			t.Fatalf("%d devices under %d numbers, want %d", len(near), len(numbers), members)
		}
		numberOf := make(map[[32]byte]uint32)
		for id, l := range far {
			there, _ := l.state()
			here, _ := near[id].state()
			if !here || !there {
				t.Errorf("carrier here %v, there %v", here, there)
			}
			n := uint32(len(numberOf))
			numberOf[id] = n
			near[id].hello(n)
			l.hello(1000 + n)
		}
		time.Sleep(time.Second)
		for id, l := range far {
			if here, there := near[id].heard(1000+numberOf[id]), l.heard(numberOf[id]); here != 1 || there != 1 || near[id].count() != 1 || l.count() != 1 {
				t.Errorf("%d and %d frames came on one link, %d and %d its own", near[id].count(), l.count(), here, there)
			}
		}
	})
}

// A link over which hellos pass every ten seconds and nothing else loses none, and its
// carrier does not flap; it goes with the peer and comes back with it.
func TestLinkLasts(t *testing.T) {
	for name, b := range bothPaths {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { linkLasts(t, b) })
		})
	}
}

func linkLasts(t *testing.T, b nattest.Behavior) {
	w := New(t, 37)
	s := w.Supernode(supernodeAddr)
	defer s.Stop()
	ids := [2]*crypto.Identity{crypto.NewIdentity(w.key(1000 + w.made + 1)), crypto.NewIdentity(w.key(1000 + w.made + 2))}
	var ends [2]*linkEnd
	var edges [2]*Edge
	costs := make(map[control.Path]int)
	for i := range ends {
		ends[i] = newLinkEnd(ids[i], ids[1-i], w.Community.ID())
		o := Options{Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{s}, Links: edge.Links{Named: []edge.Link{ends[i].link(ids[1-i])}}}
		if i == 0 {
			o.Links.Changed = func(p control.Peer) { costs[p.Path] = p.Link.Cost }
		}
		edges[i] = w.Edge(behind(b)(w.Net, i), o)
	}
	time.Sleep(5 * time.Second)
	const hellos = 6 * 40 // 40 minutes
	for n := range uint32(hellos) {
		ends[0].hello(n)
		ends[1].hello(n)
		time.Sleep(10 * time.Second)
	}
	for i, l := range ends {
		for n := range uint32(hellos) {
			if got := l.heard(n); got != 1 {
				t.Errorf("end %d: hello %d came %d times", i, n, got)
			}
		}
		if up, changes := l.state(); !up || changes != 1 {
			t.Errorf("end %d: carrier %v after %d changes", i, up, changes)
		}
	}
	edges[1].Kill()
	killed := time.Now()
	for up, _ := ends[0].state(); up && time.Since(killed) < time.Minute; up, _ = ends[0].state() {
		time.Sleep(100 * time.Millisecond)
	}
	within(t, "down after the end of the peer", time.Since(killed), 0, 15*time.Second)
	ends[1] = newLinkEnd(ids[1], ids[0], w.Community.ID())
	edges[1].options.Links = edge.Links{Named: []edge.Link{ends[1].link(ids[0])}}
	edges[1].Start()
	time.Sleep(5 * time.Second)
	ends[0].hello(hellos)
	time.Sleep(time.Second)
	if up, _ := ends[0].state(); !up || ends[1].heard(hellos) != 1 {
		t.Errorf("after the return of the peer: carrier %v, heard %d", up, ends[1].heard(hellos))
	}
	for _, e := range edges {
		e.Stop()
	}
	if direct, relayed := costs[control.PathDirect], costs[control.PathRelay]; relayed == 0 || direct >= relayed || (direct > 0) != (b.Mapping == nattest.EndpointIndependentMapping) {
		t.Errorf("costs %v", costs)
	}
}
