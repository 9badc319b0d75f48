package dataplane

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// TestTableCanReceive checks that only the epochs of the table are received.
func TestTableCanReceive(t *testing.T) {
	tab := Table{epochs: &[256]*crypto.Epoch{}}
	tab.epochs[0], tab.epochs[254] = &crypto.Epoch{Index: 0}, &crypto.Epoch{Index: 254}
	for ki := range 256 {
		e, ok := tab.canReceive(uint8(ki))
		if want := ki == 0 || ki == 254; ok != want || ok && e.Index != uint8(ki) {
			t.Errorf("index %d: %v %v", ki, e, ok)
		}
	}
}

// numberedPeer returns the n-th of many peers.
func numberedPeer(n int) *Peer {
	var static [32]byte
	binary.BigEndian.PutUint32(static[:], uint32(n))
	return NewPeer(static, protocol.MAC{0x52, 0x54, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// numberedSession returns the n-th of many sessions, which has n as our index.
func numberedSession(tb testing.TB, n int, p *Peer) *Session {
	s, err := crypto.NewSession(crypto.SessionConfig{
		XF: uint8(protocol.XFDataGCM), Local: uint32(n), Static: p.static, Created: noon,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return NewSession(s, p, 0)
}

// plainTable is a table of plain maps.
type plainTable struct {
	sessions map[uint32]*Session
	macs     map[protocol.MAC]*Peer
	statics  map[[32]byte]*Peer
	hops     map[uint32]*HopSession
	sources  map[netip.AddrPort]Source
}

func (t plainTable) clone() plainTable {
	return plainTable{maps.Clone(t.sessions), maps.Clone(t.macs), maps.Clone(t.statics), maps.Clone(t.hops), maps.Clone(t.sources)}
}

// is fails unless a table says the same as a plain one.
func (t plainTable) is(tb testing.TB, what string, got *Table) {
	tb.Helper()
	sources := make(map[netip.AddrPort]Source)
	for a, s := range got.sources {
		sources[a] = *s
	}
	if !maps.Equal(maps.Collect(got.sessions.All()), t.sessions) || !maps.Equal(maps.Collect(got.macs.All()), t.macs) ||
		!maps.Equal(maps.Collect(got.statics.All()), t.statics) || !maps.Equal(got.hops, t.hops) || !maps.Equal(sources, t.sources) {
		tb.Errorf("%s: %d sessions, %d addresses, %d keys, %d hops, %d sources; want %d, %d, %d, %d, %d", what,
			got.sessions.Len(), got.macs.Len(), got.statics.Len(), len(got.hops), len(sources),
			len(t.sessions), len(t.macs), len(t.statics), len(t.hops), len(t.sources))
	}
}

// A random sequence of changes makes what it makes of plain maps, and no table
// that was published changes any more. What changes nothing is not published.
func TestDraftAsPlainMaps(t *testing.T) {
	const many = 60
	var peers []*Peer
	var sessions []*Session
	var hops []*HopSession
	for n := range many {
		peers = append(peers, numberedPeer(n%40)) // some have one address and one key
		sessions = append(sessions, numberedSession(t, n%40, peers[n]))
		hop, err := crypto.NewHopSession(crypto.SessionConfig{XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: uint32(n % 40), Created: noon})
		if err != nil {
			t.Fatal(err)
		}
		hops = append(hops, NewHopSession(hop, NewSupernode(n), 0))
	}
	plane, draft, random := newRig(t, 1).members[0].Plane, NewDraft(), rand.New(rand.NewPCG(5, 6))
	want := plainTable{map[uint32]*Session{}, map[protocol.MAC]*Peer{}, map[[32]byte]*Peer{}, map[uint32]*HopSession{}, map[netip.AddrPort]Source{}}
	plane.Publish(draft)
	type published struct {
		table *Table
		want  plainTable
	}
	var old []published
	for i := range 3000 {
		n := random.IntN(many)
		p, s, h, a := peers[n], sessions[n], hops[n], destination(n%40)
		before := want.clone()
		switch random.IntN(10) {
		case 0:
			draft.SetSession(s)
			want.sessions[uint32(n%40)] = s
		case 1:
			draft.DropSession(uint32(n % 40))
			delete(want.sessions, uint32(n%40))
		case 2:
			draft.BindMAC(p)
			want.macs[p.mac] = p
		case 3:
			draft.UnbindMAC(p.mac)
			delete(want.macs, p.mac)
		case 4:
			draft.SetStatic(p)
			want.statics[p.static] = p
		case 5:
			draft.DropStatic(p.static)
			delete(want.statics, p.static)
		case 6:
			draft.SetHop(h)
			want.hops[uint32(n%40)] = h
		case 7:
			draft.DropHop(uint32(n % 40))
			delete(want.hops, uint32(n%40))
		case 8:
			source := Source{Supernode: h.supernode, Welcome: []*crypto.Mask{nil, crypto.HelloMask(nil)}[i%2]}
			draft.SetSource(a, source)
			want.sources[a] = source
		case 9:
			draft.DropSource(a)
			delete(want.sources, a)
		}
		same := maps.Equal(before.sessions, want.sessions) && maps.Equal(before.macs, want.macs) &&
			maps.Equal(before.statics, want.statics) && maps.Equal(before.hops, want.hops) && maps.Equal(before.sources, want.sources)
		if draft.Changed() == same {
			t.Fatalf("step %d: changed %v", i, draft.Changed())
		}
		was := plane.table.Load()
		if plane.Publish(draft); (plane.table.Load() == was) != same {
			t.Fatalf("step %d: published %v", i, same)
		}
		if i%100 == 0 {
			old = append(old, published{plane.table.Load(), want.clone()})
		}
	}
	want.is(t, "the last", plane.table.Load())
	for i, o := range old {
		o.want.is(t, fmt.Sprint("table ", i), o.table)
	}
}

// What is one for the whole table is published when it changes, and only then.
func TestDraftOfOneValue(t *testing.T) {
	r := newRig(t, 1)
	c := r.community
	group := r.members[0].group
	a, b := NewSupernode(0), NewSupernode(1)
	epochs := []crypto.Epoch{c.Epochs[0], {Index: 9, Key: [32]byte{9}}}
	d, plane := NewDraft(), r.members[0].Plane
	for i, step := range []struct {
		do      func()
		changed bool
	}{
		{func() {}, true}, // the first
		{func() { d.SetGroup(nil) }, false},
		{func() { d.SetGroup(group) }, true},
		{func() { d.SetGroup(group) }, false},
		{func() { d.SetList(false) }, false},
		{func() { d.SetList(true) }, true},
		{func() { d.SetList(true) }, false},
		{func() { d.SetEpochs(nil) }, false},
		{func() { d.SetEpochs(epochs) }, true},
		{func() { d.SetEpochs([]crypto.Epoch{epochs[1], epochs[0]}) }, false},
		{func() { d.SetEpochs(epochs[:1]) }, true},
		{func() { d.SetSupernodes(nil) }, false},
		{func() { d.SetSupernodes([]*Supernode{a, b}) }, true},
		{func() { d.SetSupernodes([]*Supernode{a, b}) }, false},
		{func() { d.SetSupernodes([]*Supernode{b, a}) }, true},
	} {
		step.do()
		if d.Changed() != step.changed {
			t.Errorf("step %d: changed %v", i, d.Changed())
		}
		plane.Publish(d)
	}
	tab := plane.table.Load()
	if tab.group != group || !tab.list || !slices.Equal(tab.supernodes, []*Supernode{b, a}) || tab.epochs[7] == nil || tab.epochs[9] != nil {
		t.Errorf("%+v", tab)
	}
}

// A list that its owner goes on to change is not the table's.
func TestDraftKeepsNoList(t *testing.T) {
	list := []*Supernode{NewSupernode(0), NewSupernode(1)}
	first := list[0]
	d := NewDraft()
	d.SetSupernodes(list)
	list[0] = nil
	if d.next.supernodes[0] != first {
		t.Error("the table has the caller's list")
	}
}

// community is a draft with a number of peers that have an address and a session.
func community(tb testing.TB, size int) *Draft {
	d := NewDraft()
	for n := range size {
		p := numberedPeer(n)
		d.SetStatic(p)
		d.BindMAC(p)
		d.SetSession(numberedSession(tb, n, p))
	}
	return d
}

// comeAndGo publishes twice: a peer that comes with its session, and that goes.
func comeAndGo(plane *Plane, d *Draft, p *Peer, s *Session) {
	d.SetStatic(p)
	d.BindMAC(p)
	d.SetSession(s)
	plane.Publish(d)
	d.DropSession(s.session.LocalIndex())
	d.UnbindMAC(p.mac)
	d.DropStatic(p.static)
	plane.Publish(d)
}

// TestPublishCost holds that publishing after a change costs a bounded number of
// allocations, whatever the size of the community.
func TestPublishCost(t *testing.T) {
	plane := newRig(t, 1).members[0].Plane
	for _, size := range []int{10, 300, 2000} {
		d, p := community(t, size), numberedPeer(100000)
		s := numberedSession(t, 100000, p)
		plane.Publish(d)
		if n := testing.AllocsPerRun(100, func() { comeAndGo(plane, d, p, s) }); n > 50 {
			t.Errorf("%d peers: %v allocations for two tables", size, n)
		}
	}
}

// BenchmarkPublish is one peer that comes and goes, two tables. The plain one
// copies the maps for each, as tables of plain maps have to.
func BenchmarkPublish(b *testing.B) {
	plane := newRig(b, 1).members[0].Plane
	for _, size := range []int{10, 300, 2000} {
		d, p := community(b, size), numberedPeer(100000)
		s := numberedSession(b, 100000, p)
		b.Run(fmt.Sprintf("%d/draft", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				comeAndGo(plane, d, p, s)
			}
		})
		t := plainTable{
			sessions: maps.Collect(d.Sessions()), macs: maps.Collect(d.Bound()), statics: maps.Collect(d.Statics()),
		}
		b.Run(fmt.Sprintf("%d/plain", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				t = t.clone()
				t.sessions[s.session.LocalIndex()], t.macs[p.mac], t.statics[p.static] = s, p, p
				t = t.clone()
				delete(t.sessions, s.session.LocalIndex())
				delete(t.macs, p.mac)
				delete(t.statics, p.static)
			}
		})
	}
}
