package supernode

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// TestMemoryOfFullTables: the registry with every place taken, each registration in a
// community of its own as far as there are communities, and every network different.
func TestMemoryOfFullTables(t *testing.T) {
	limits := Limits{Communities: 8192, Edges: 16384}.withDefaults()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	g := newRegistry(limits, netip.Prefix{}, noFront())
	for i := range limits.Edges {
		var id [16]byte
		binary.BigEndian.PutUint32(id[:], uint32(i%limits.Communities))
		var owner [32]byte
		binary.BigEndian.PutUint32(owner[:], uint32(i))
		var mac protocol.MAC
		binary.BigEndian.PutUint32(mac[1:], uint32(i))
		source := netip.AddrFrom16([16]byte{0x20, 1, 2: byte(i >> 16), 3: byte(i >> 8), 4: byte(i), 15: 1})
		var nh [32]byte
		copy(nh[:], id[:])
		c := g.community(id, nh, source)
		r := &registration{
			community: c, mac: mac, owner: owner, handle: uint32(i + 1), seat: seat{source: source},
			statement: make([]byte, crypto.StatementLen), candidates: make([]netip.AddrPort, protocol.MaxCandidates),
		}
		g.add(r)
		g.setVisitor(r)
		p, ok := chooseAddress(c.pool, owner, &c.addresses.leased)
		if !ok {
			t.Fatal("no address")
		}
		g.setLease(r, p)
	}
	each := (heap() - before) / uint64(limits.Edges)
	t.Logf("%d bytes for a registration and its part of a community", each)
	if each > 4096 {
		t.Errorf("a registration takes %d bytes", each)
	}
	runtime.KeepAlive(g)
}
