package bridge

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
)

// testEdge is an edge of a test.
type testEdge struct{ gone, mute bool }

func (e *testEdge) Retired() bool { return e.gone }
func (e *testEdge) Askable() bool { return !e.mute }

// where returns the edge that a station is behind.
func where(f *FDB[*testEdge], now int64, key Key) *testEdge {
	e, _ := f.Lookup(now, key)
	return e
}

// entries returns how many stations are behind other edges.
func entries(f *FDB[*testEdge]) int {
	n, _ := f.Len()
	return n
}

// hostKey returns the n-th of many hosts, untagged.
func hostKey(n int) Key {
	k := Key{MAC: protocol.MAC{0x52, 0x54}}
	binary.BigEndian.PutUint32(k.MAC[2:], uint32(n))
	return k
}

// TestFDBAge holds the age at which a host is forgotten: 300 s, exactly.
func TestFDBAge(t *testing.T) {
	const start = int64(7 * time.Second)
	p := new(testEdge)
	for _, c := range []struct {
		after time.Duration
		want  *testEdge
	}{{0, p}, {time.Second, p}, {Age - 1, p}, {Age, p}, {Age + 1, nil}, {2 * Age, nil}} {
		f := New[*testEdge](DefaultSize)
		f.Learn(start, hostKey(1), p)
		now := start + int64(c.after)
		if got := where(f, now, hostKey(1)); got != c.want {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
		f.Sweep(now)
		want := 0
		if c.want != nil {
			want = 1
		}
		if entries(f) != want || f.Hosts(p) != want {
			t.Errorf("swept after %v: %d entries, %d behind the peer, want %d", c.after, entries(f), f.Hosts(p), want)
		}
	}
}

// TestFDBHere: the stations of our own side are listed while they are heard, up to a bound.
func TestFDBHere(t *testing.T) {
	f := New[*testEdge](DefaultSize)
	f.Local(1, hostKey(1), netip.Addr{})
	f.Local(2, hostKey(2), netip.Addr{})
	f.Learn(2, hostKey(3), new(testEdge))
	for _, c := range []struct {
		now  int64
		most int
		want int
	}{{2, 9, 2}, {2, 1, 1}, {2, 0, 0}, {int64(Age) + 2, 9, 1}, {int64(Age) + 3, 9, 0}} {
		if got := f.Here(c.now, c.most); len(got) != c.want || slices.Contains(got, hostKey(3)) {
			t.Errorf("at %d, at most %d: %v, want %d", c.now, c.most, got, c.want)
		}
	}
}

// TestFDBRefresh checks that a host that goes on sending stays, although not
// every frame of it is written down.
func TestFDBRefresh(t *testing.T) {
	f, p := New[*testEdge](DefaultSize), new(testEdge)
	now := int64(1)
	for range 1000 {
		f.Learn(now, hostKey(1), p)
		now += int64(700 * time.Millisecond)
	}
	if entries(f) != 1 || f.Hosts(p) != 1 || f.Counters().Moves != 0 {
		t.Errorf("%d entries, %d hosts, %d moves", entries(f), f.Hosts(p), f.Counters().Moves)
	}
	if where(f, now+int64(Age-2*time.Second), hostKey(1)) != p {
		t.Error("forgotten too early")
	}
}

// small is the size of a database that tests fill.
var small = Size{All: 64, Behind: MinSize}

// TestFDBBounds fills the database. What is full learns nothing new, and forgets
// nothing of others; but what is known to be elsewhere does not stay where it was.
func TestFDBBounds(t *testing.T) {
	f := New[*testEdge](small)
	edges := make([]*testEdge, 5)
	for i := range edges {
		edges[i] = new(testEdge)
		for n := range small.Behind + 10 {
			f.Learn(1, hostKey(i*10000+n), edges[i])
		}
	}
	for i, want := range []int{16, 16, 16, 16, 0} {
		if got := f.Hosts(edges[i]); got != want {
			t.Errorf("edge %d has %d hosts, want %d", i, got, want)
		}
	}
	if n, most := f.Len(); n != 64 || most != 64 {
		t.Errorf("%d entries of %d", n, most)
	}
	if n := f.Counters().Refused; n != 4*10+26 {
		t.Errorf("%d refused", n)
	}
	last := hostKey(small.Behind - 1)
	if where(f, 1, last) != edges[0] || where(f, 1, hostKey(small.Behind)) != nil {
		t.Error("the bound is not where it should be")
	}
	// A mover speaks behind an edge that is full: frames for it are flooded from now on.
	if v := f.Learn(2, last, edges[1]); v != (Verdict{}) || where(f, 2, last) != nil || f.Hosts(edges[0]) != 15 {
		t.Errorf("%+v: %p is still known to be behind the old place", v, where(f, 2, last))
	}
	// Our own side has a bound of its own.
	for n := range 100 {
		f.Local(2, hostKey(100000+n), netip.Addr{})
	}
	if n, here := entries(f), f.Hosts(nil); n != 63 || here != small.Behind {
		t.Errorf("%d entries, %d on our own side", n, here)
	}
	f.Sweep(2 + int64(Age) + 1)
	if n := entries(f) + f.Hosts(nil); n != 0 || len(f.behind) != 0 {
		t.Errorf("%d entries after their age, %d edges counted", n, len(f.behind))
	}
}

// TestFDBMoves follows a station between edges that cannot be asked, VLANs and our own
// side: the newest place is right.
func TestFDBMoves(t *testing.T) {
	f, a, b := New[*testEdge](DefaultSize), &testEdge{mute: true}, &testEdge{mute: true}
	key := hostKey(1)
	tagged := Key{VLAN: 5, MAC: key.MAC}
	for i, step := range []struct {
		do           func()
		plain, vlan5 *testEdge
		moves        uint64
	}{
		{func() { f.Learn(1, key, a) }, a, nil, 0},
		{func() { f.Learn(1, key, b) }, b, nil, 1},
		{func() { f.Learn(1, tagged, a) }, b, a, 1},
		{func() { f.Learn(1, key, b) }, b, a, 1},
		{func() { f.Local(1, key, netip.Addr{}) }, nil, a, 2},
		{func() { f.Local(1, key, netip.Addr{}) }, nil, a, 2},
		{func() { f.Flush(nil) }, nil, a, 2},
		{func() { f.Learn(1, key, a) }, a, a, 2},
		{func() { b.gone = true; f.Flush(b) }, a, a, 2},
		{func() { a.gone = true }, nil, nil, 2},
		{func() { f.Flush(a) }, nil, nil, 2},
	} {
		step.do()
		if p, v := where(f, 1, key), where(f, 1, tagged); p != step.plain || v != step.vlan5 || f.Counters().Moves != step.moves {
			t.Errorf("step %d: %p, in the VLAN %p, %d moves", i, p, v, f.Counters().Moves)
		}
		if got, want := f.Hosts(a)+f.Hosts(b)+f.Hosts(nil), len(f.entries); got != want {
			t.Errorf("step %d: %d hosts behind edges, %d entries", i, got, want)
		}
	}
	if len(f.behind) != 0 {
		t.Errorf("%d edges are still counted", len(f.behind))
	}
}

// TestFDBHandover gives everything behind one edge to another, and to our own side.
func TestFDBHandover(t *testing.T) {
	f, a, b := New[*testEdge](small), new(testEdge), new(testEdge)
	for n := range 10 {
		f.Learn(1, hostKey(n), a)
		f.Learn(1, hostKey(100+n), b)
	}
	f.Handover(a, b)
	if f.Hosts(a) != 0 || f.Hosts(b) != small.Behind || entries(f) != small.Behind {
		t.Errorf("%d and %d hosts", f.Hosts(a), f.Hosts(b))
	}
	f.Handover(b, nil)
	if f.Hosts(b) != 0 || f.Hosts(nil) != small.Behind || entries(f) != 0 {
		t.Errorf("%d hosts behind an edge, %d on our side", f.Hosts(b), f.Hosts(nil))
	}
	for _, s := range f.Stations(1) {
		if s.Edge != nil || s.How != Announced {
			t.Errorf("%+v", s)
		}
	}
}

// TestSize holds the bounds of a size, and the memory that one entry is said to take.
func TestSize(t *testing.T) {
	for _, s := range []Size{{}, {All: 15, Behind: 15}, {All: 100, Behind: 101}, {All: 100, Behind: 15}, {All: MaxSize + 1, Behind: 100}} {
		if s.Check() == nil {
			t.Errorf("%+v is taken", s)
		}
	}
	for _, s := range []Size{DefaultSize, small, {All: MinSize, Behind: MinSize}, {All: MaxSize, Behind: MaxSize}} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f, edge := New[*testEdge](Size{All: 100_000, Behind: 100_000}), new(testEdge)
	for n := range 100_000 {
		f.Learn(1, hostKey(n), edge)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := (after.HeapAlloc - before.HeapAlloc) / 100_000; n > EntryBytes {
		t.Errorf("an entry takes %d bytes, said to be %d", n, EntryBytes)
	}
	runtime.KeepAlive(f)
}

// TestFDBAllocations: a frame allocates nothing, whatever is known of its station.
func TestFDBAllocations(t *testing.T) {
	f, a, b := New[*testEdge](small), new(testEdge), new(testEdge)
	now := int64(1)
	f.Learn(now, hostKey(1), a)
	f.Learn(now, hostKey(1), b)
	f.Local(now, hostKey(2), netip.MustParseAddr("192.0.2.1"))
	if n := testing.AllocsPerRun(100, func() {
		now += refreshEvery / 2
		f.Lookup(now, hostKey(1))
		f.Learn(now, hostKey(1), a)
		f.Learn(now, hostKey(1), b)
		f.Local(now, hostKey(2), netip.MustParseAddr("192.0.2.1"))
		f.Doubt(now, hostKey(1))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkLookup looks a station up that is known, as every frame to one is.
func BenchmarkLookup(b *testing.B) {
	f, edge := New[*testEdge](DefaultSize), new(testEdge)
	for n := range 1000 {
		f.Learn(1, hostKey(n), edge)
	}
	key := hostKey(500)
	for b.Loop() {
		f.Lookup(2, key)
	}
}

// BenchmarkLearn hears a station that is known, as every frame of one does.
func BenchmarkLearn(b *testing.B) {
	f, edge := New[*testEdge](DefaultSize), new(testEdge)
	for n := range 1000 {
		f.Learn(1, hostKey(n), edge)
	}
	key := hostKey(500)
	for b.Loop() {
		f.Learn(2, key, edge)
	}
}
