package dataplane

import (
	"slices"
	"sync"
	"time"

	"hedgerow/protocol"
)

// Bounds of the forwarding database.
const (
	fdbAge     = 300 * time.Second // IEEE 802.1D, table 7-5
	fdbMax     = 4096              // entries in all
	fdbPerPeer = 1024              // entries behind one edge
	fdbSweep   = 10 * time.Second
)

// fdbKey is a hardware address in a VLAN; 0 stands for untagged.
type fdbKey struct {
	vlan uint16
	mac  protocol.MAC
}

type fdbEntry struct {
	peer *Peer
	seen int64 // nanoseconds since the edge started
}

// fdb is the forwarding database: which edge a hardware address was last
// heard behind. It holds hosts behind edges only; the edges' own addresses are
// in the table, and beat it. The queues learn and look up, the control loop ages.
type fdb struct {
	mu      sync.RWMutex
	entries map[fdbKey]fdbEntry
	behind  map[*Peer]int
	moves   uint64
}

func newFDB() *fdb {
	return &fdb{entries: make(map[fdbKey]fdbEntry), behind: make(map[*Peer]int)}
}

// lookup returns the edge that a host was learned behind, or nil. An entry
// past its age does not count.
func (f *fdb) lookup(now int64, key fdbKey) *Peer {
	f.mu.RLock()
	e, ok := f.entries[key]
	f.mu.RUnlock()
	if !ok || now-e.seen > int64(fdbAge) || e.peer.gone.Load() {
		return nil
	}
	return e.peer
}

// learn notes that a host is behind an edge. At a bound nothing is learned,
// so that one edge cannot push out what others need.
func (f *fdb) learn(now int64, key fdbKey, p *Peer) {
	f.mu.RLock()
	e, ok := f.entries[key]
	f.mu.RUnlock()
	// Refreshing once a second spares the write lock on every frame.
	if ok && e.peer == p && now-e.seen < int64(time.Second) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok = f.entries[key]
	if ok && e.peer == p {
		f.entries[key] = fdbEntry{peer: p, seen: now}
		return
	}
	if f.behind[p] >= fdbPerPeer || (!ok && len(f.entries) >= fdbMax) {
		return
	}
	if ok {
		f.forget(key, e)
		f.moves++
	}
	f.entries[key] = fdbEntry{peer: p, seen: now}
	f.behind[p]++
}

// local notes that a host sent from our own side, so it is behind no edge.
func (f *fdb) local(key fdbKey) {
	f.mu.RLock()
	_, ok := f.entries[key]
	f.mu.RUnlock()
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.entries[key]; ok {
		f.forget(key, e)
		f.moves++
	}
}

// forget removes an entry; the lock is held.
func (f *fdb) forget(key fdbKey, e fdbEntry) {
	delete(f.entries, key)
	if f.behind[e.peer]--; f.behind[e.peer] == 0 {
		delete(f.behind, e.peer)
	}
}

// fdbStep is how many entries are removed before the lock is given to others.
const fdbStep = 64

// sweep removes entries past their age. It looks for them while frames look theirs
// up, and removes a few at a time.
func (f *fdb) sweep(now int64) {
	f.mu.RLock()
	var old []fdbKey
	for key, e := range f.entries {
		if now-e.seen > int64(fdbAge) {
			old = append(old, key)
		}
	}
	f.mu.RUnlock()
	for keys := range slices.Chunk(old, fdbStep) {
		f.mu.Lock()
		for _, key := range keys {
			if e, ok := f.entries[key]; ok && now-e.seen > int64(fdbAge) {
				f.forget(key, e)
			}
		}
		f.mu.Unlock()
	}
}

// flush removes everything behind an edge that has gone. A queue may
// still learn under the old table: such an entry is as if it were not there.
func (f *fdb) flush(p *Peer) {
	p.gone.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, e := range f.entries {
		if e.peer == p {
			f.forget(key, e)
		}
	}
}

// leave has the hosts behind an edge be behind another one, or unknown if that is nil or
// has as many as it may.
func (f *fdb) leave(p, to *Peer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, e := range f.entries {
		if e.peer != p {
			continue
		}
		f.forget(key, e)
		if to != nil && f.behind[to] < fdbPerPeer {
			f.entries[key] = fdbEntry{peer: to, seen: e.seen}
			f.behind[to]++
			f.moves++
		}
	}
}

// leaveAll forgets the hosts behind all edges but one.
func (f *fdb) leaveAll(but *Peer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, e := range f.entries {
		if e.peer != but {
			f.forget(key, e)
		}
	}
}

// hosts returns how many hosts are behind an edge.
func (f *fdb) hosts(p *Peer) int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.behind[p]
}

// size returns how many entries there are.
func (f *fdb) size() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.entries)
}
