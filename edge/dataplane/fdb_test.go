package dataplane

import (
	"encoding/binary"
	"testing"
	"time"

	"hedgerow/protocol"
)

// hostKey returns the n-th of many hosts, untagged.
func hostKey(n int) fdbKey {
	k := fdbKey{mac: protocol.MAC{0x52, 0x54}}
	binary.BigEndian.PutUint32(k.mac[2:], uint32(n))
	return k
}

// TestFDBAge holds the age at which a host is forgotten: 300 s, exactly.
func TestFDBAge(t *testing.T) {
	const start = int64(7 * time.Second)
	p := new(Peer)
	for _, c := range []struct {
		after time.Duration
		want  *Peer
	}{{0, p}, {time.Second, p}, {fdbAge - 1, p}, {fdbAge, p}, {fdbAge + 1, nil}, {2 * fdbAge, nil}} {
		f := newFDB()
		f.learn(start, hostKey(1), p)
		now := start + int64(c.after)
		if got := f.lookup(now, hostKey(1)); got != c.want {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
		f.sweep(now)
		want := 0
		if c.want != nil {
			want = 1
		}
		if f.size() != want || f.hosts(p) != want {
			t.Errorf("swept after %v: %d entries, %d behind the peer, want %d", c.after, f.size(), f.hosts(p), want)
		}
	}
}

// TestFDBRefresh checks that a host that goes on sending stays, although not
// every frame of it is written down.
func TestFDBRefresh(t *testing.T) {
	f, p := newFDB(), new(Peer)
	now := int64(1)
	for range 1000 {
		f.learn(now, hostKey(1), p)
		now += int64(700 * time.Millisecond)
	}
	if f.size() != 1 || f.hosts(p) != 1 || f.moves != 0 {
		t.Errorf("%d entries, %d hosts, %d moves", f.size(), f.hosts(p), f.moves)
	}
	if f.lookup(now+int64(fdbAge-2*time.Second), hostKey(1)) != p {
		t.Error("forgotten too early")
	}
}

// TestFDBBounds fills the database: 1024 hosts behind one edge, 4096 in all.
// What is full learns nothing new, and forgets nothing either.
func TestFDBBounds(t *testing.T) {
	f := newFDB()
	peers := make([]*Peer, 5)
	for i := range peers {
		peers[i] = new(Peer)
		for n := range fdbPerPeer + 10 {
			f.learn(1, hostKey(i*10000+n), peers[i])
		}
	}
	for i, want := range []int{fdbPerPeer, fdbPerPeer, fdbPerPeer, fdbPerPeer, 0} {
		if got := f.hosts(peers[i]); got != want {
			t.Errorf("peer %d has %d hosts, want %d", i, got, want)
		}
	}
	if f.size() != fdbMax {
		t.Errorf("%d entries, want %d", f.size(), fdbMax)
	}
	last := hostKey(fdbPerPeer - 1)
	if f.lookup(1, last) != peers[0] || f.lookup(1, hostKey(fdbPerPeer)) != nil {
		t.Error("the bound is not where it should be")
	}
	// Moves need no room in all, but they do behind the new edge.
	f.learn(2, last, peers[1])
	if f.lookup(2, last) != peers[0] {
		t.Error("moved behind an edge that is full")
	}
	f.learn(2, last, peers[4])
	if f.lookup(2, last) != peers[4] || f.size() != fdbMax || f.hosts(peers[0]) != fdbPerPeer-1 {
		t.Error("did not move while the database was full")
	}
	f.sweep(1 + int64(fdbAge) + 1)
	if f.size() != 1 {
		t.Errorf("%d entries after their age", f.size())
	}
}

// TestFDBMoves follows a host between edges, VLANs and our own side.
func TestFDBMoves(t *testing.T) {
	f, a, b := newFDB(), new(Peer), new(Peer)
	key := hostKey(1)
	tagged := fdbKey{vlan: 5, mac: key.mac}
	for i, step := range []struct {
		do           func()
		plain, vlan5 *Peer
		moves        uint64
	}{
		{func() { f.learn(1, key, a) }, a, nil, 0},
		{func() { f.learn(1, key, b) }, b, nil, 1},
		{func() { f.learn(1, tagged, a) }, b, a, 1},
		{func() { f.learn(1, key, b) }, b, a, 1},
		{func() { f.local(key) }, nil, a, 2},
		{func() { f.local(key) }, nil, a, 2},
		{func() { f.learn(1, key, a) }, a, a, 2},
		{func() { f.flush(b) }, a, a, 2},
		{func() { f.flush(a) }, nil, nil, 2},
	} {
		step.do()
		if p, v := f.lookup(1, key), f.lookup(1, tagged); p != step.plain || v != step.vlan5 || f.moves != step.moves {
			t.Errorf("step %d: %p, in the VLAN %p, %d moves", i, p, v, f.moves)
		}
		if got, want := f.hosts(a)+f.hosts(b), f.size(); got != want {
			t.Errorf("step %d: %d hosts behind edges, %d entries", i, got, want)
		}
	}
	if len(f.behind) != 0 {
		t.Errorf("%d edges are still counted", len(f.behind))
	}
}
