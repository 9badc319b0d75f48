package sim

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// inbox counts the numbered frames that an edge delivered.
type inbox struct {
	mu  sync.Mutex
	got map[uint64]int
}

func newInbox() *inbox { return &inbox{got: make(map[uint64]int)} }

func (b *inbox) deliver(frame []byte) {
	f := protocol.Frame(frame)
	if f.EtherType() == EtherType && len(frame) >= 22 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got[binary.BigEndian.Uint64(frame[14:])]++
	}
}

// times returns how often the frame with a number was delivered.
func (b *inbox) times(n uint64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got[n]
}

// size returns how many different frames were delivered.
func (b *inbox) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// pathTo returns how an edge reaches another.
func pathTo(t *testing.T, from, to *Edge) control.Path {
	t.Helper()
	return wayTo(t, from, to).Path
}

// status returns what an edge says of itself.
func (e *Edge) status() control.Status {
	e.world.tb.Helper()
	s, err := e.Edge.Status(context.Background())
	if err != nil {
		e.world.tb.Fatal(err)
	}
	return s
}

// says reports whether an edge has a note with a text in it.
func (e *Edge) says(text string) bool {
	e.world.tb.Helper()
	return slices.ContainsFunc(e.status().Notes, func(note string) bool { return strings.Contains(note, text) })
}

var supernodeAddr = netip.MustParseAddr("203.0.113.1")

// bothPaths are NATs behind which two edges have a direct path, or a relayed one alone.
var bothPaths = map[string]nattest.Behavior{"direct": nattest.PortRestricted, "relayed": nattest.Symmetric}

// pair is two edges behind routers of the given behaviour.
func pair(t *testing.T, a, b nattest.Behavior) (w *World, s *Supernode, left, right *Edge, in *inbox) {
	w = New(t, 1)
	s = w.Supernode(supernodeAddr)
	in = newInbox()
	hostA := w.Net.Router(netip.MustParseAddr("198.51.100.1"), a).Host(netip.MustParseAddr("192.168.1.2"))
	hostB := w.Net.Router(netip.MustParseAddr("198.51.100.2"), b).Host(netip.MustParseAddr("192.168.1.2"))
	left = w.Edge(hostA, Options{Name: "left", Supernodes: []*Supernode{s}})
	right = w.Edge(hostB, Options{Name: "right", Supernodes: []*Supernode{s}, Deliver: in.deliver})
	return w, s, left, right, in
}

func TestFirstFrameByRelayThenDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, left, right, in := pair(t, nattest.PortRestricted, nattest.PortRestricted)
		defer w.Close()
		time.Sleep(time.Second)
		left.Send(right.MAC, number(1))
		time.Sleep(time.Second)
		if in.times(1) != 1 {
			t.Errorf("the first frame was delivered %d times within 1 s, want once", in.times(1))
		}
		for i := range uint64(30) {
			left.Send(right.MAC, number(2+i))
			time.Sleep(100 * time.Millisecond)
		}
		if got := pathTo(t, left, right); got != control.PathDirect {
			t.Errorf("path after 4 s is %q, want direct", got)
		}
		for i := range uint64(31) {
			if in.times(1+i) != 1 {
				t.Errorf("frame %d was delivered %d times", 1+i, in.times(1+i))
			}
		}
		left.Stop()
		right.Stop()
		s.Stop()
	})
}

func TestBroadcastReachesEveryEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 2)
		defer w.Close()
		s := w.Supernode(supernodeAddr)
		var edges []*Edge
		var inboxes []*inbox
		for i := range 5 {
			in := newInbox()
			h := w.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)}))
			edges = append(edges, w.Edge(h, Options{Supernodes: []*Supernode{s}, Deliver: in.deliver}))
			inboxes = append(inboxes, in)
		}
		time.Sleep(time.Second)
		for i := range uint64(300) {
			edges[0].Send(protocol.Broadcast, number(i))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		for k, in := range inboxes[1:] {
			for i := range uint64(300) {
				if in.times(i) != 1 {
					t.Fatalf("edge %d got broadcast %d %d times", k+1, i, in.times(i))
				}
			}
		}
		if inboxes[0].size() != 0 {
			t.Errorf("the sender got %d of its own broadcasts back", inboxes[0].size())
		}
		for _, e := range edges {
			e.Stop()
		}
		s.Stop()
	})
}

func TestAddressesAreLeased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 3)
		defer w.Close()
		s := w.Supernode(supernodeAddr)
		var told events
		h := w.Net.Host(netip.MustParseAddr("198.51.100.9"))
		e := w.Edge(h, Options{Supernodes: []*Supernode{s}, Report: told.add})
		time.Sleep(time.Second)
		leased := told.of(control.EventLease)
		if len(leased) != 1 || !netip.MustParsePrefix("10.64.0.0/10").Contains(leased[0].Prefix.Addr()) {
			t.Errorf("leased %v, want one address of 10.64.0.0/10", leased)
		}
		e.Stop()
		s.Stop()
	})
}
