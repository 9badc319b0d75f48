package bridge

import (
	"encoding/binary"
	"testing"
	"time"

	"hedgerow/protocol"
)

// testEdge is an edge of a test.
type testEdge struct{ gone bool }

func (e *testEdge) Retired() bool { return e.gone }

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
		f := New[*testEdge]()
		f.Learn(start, hostKey(1), p)
		now := start + int64(c.after)
		if got := f.Lookup(now, hostKey(1)); got != c.want {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
		f.Sweep(now)
		want := 0
		if c.want != nil {
			want = 1
		}
		if f.Size() != want || f.Hosts(p) != want {
			t.Errorf("swept after %v: %d entries, %d behind the peer, want %d", c.after, f.Size(), f.Hosts(p), want)
		}
	}
}

// TestFDBRefresh checks that a host that goes on sending stays, although not
// every frame of it is written down.
func TestFDBRefresh(t *testing.T) {
	f, p := New[*testEdge](), new(testEdge)
	now := int64(1)
	for range 1000 {
		f.Learn(now, hostKey(1), p)
		now += int64(700 * time.Millisecond)
	}
	if f.Size() != 1 || f.Hosts(p) != 1 || f.moves != 0 {
		t.Errorf("%d entries, %d hosts, %d moves", f.Size(), f.Hosts(p), f.moves)
	}
	if f.Lookup(now+int64(Age-2*time.Second), hostKey(1)) != p {
		t.Error("forgotten too early")
	}
}

// TestFDBBounds fills the database: 1024 hosts behind one edge, 4096 in all.
// What is full learns nothing new, and forgets nothing either.
func TestFDBBounds(t *testing.T) {
	f := New[*testEdge]()
	peers := make([]*testEdge, 5)
	for i := range peers {
		peers[i] = new(testEdge)
		for n := range MaxBehind + 10 {
			f.Learn(1, hostKey(i*10000+n), peers[i])
		}
	}
	for i, want := range []int{MaxBehind, MaxBehind, MaxBehind, MaxBehind, 0} {
		if got := f.Hosts(peers[i]); got != want {
			t.Errorf("peer %d has %d hosts, want %d", i, got, want)
		}
	}
	if f.Size() != MaxEntries {
		t.Errorf("%d entries, want %d", f.Size(), MaxEntries)
	}
	last := hostKey(MaxBehind - 1)
	if f.Lookup(1, last) != peers[0] || f.Lookup(1, hostKey(MaxBehind)) != nil {
		t.Error("the bound is not where it should be")
	}
	// Moves need no room in all, but they do behind the new edge.
	f.Learn(2, last, peers[1])
	if f.Lookup(2, last) != peers[0] {
		t.Error("moved behind an edge that is full")
	}
	f.Learn(2, last, peers[4])
	if f.Lookup(2, last) != peers[4] || f.Size() != MaxEntries || f.Hosts(peers[0]) != MaxBehind-1 {
		t.Error("did not move while the database was full")
	}
	f.Sweep(1 + int64(Age) + 1)
	if f.Size() != 1 {
		t.Errorf("%d entries after their age", f.Size())
	}
}

// TestFDBMoves follows a host between edges, VLANs and our own side.
func TestFDBMoves(t *testing.T) {
	f, a, b := New[*testEdge](), new(testEdge), new(testEdge)
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
		{func() { f.Local(key) }, nil, a, 2},
		{func() { f.Local(key) }, nil, a, 2},
		{func() { f.Learn(1, key, a) }, a, a, 2},
		{func() { f.Flush(b) }, a, a, 2},
		{func() { f.Flush(a) }, nil, nil, 2},
	} {
		step.do()
		if p, v := f.Lookup(1, key), f.Lookup(1, tagged); p != step.plain || v != step.vlan5 || f.moves != step.moves {
			t.Errorf("step %d: %p, in the VLAN %p, %d moves", i, p, v, f.moves)
		}
		if got, want := f.Hosts(a)+f.Hosts(b), f.Size(); got != want {
			t.Errorf("step %d: %d hosts behind edges, %d entries", i, got, want)
		}
	}
	if len(f.behind) != 0 {
		t.Errorf("%d edges are still counted", len(f.behind))
	}
}
