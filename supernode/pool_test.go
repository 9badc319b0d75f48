package supernode

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// visits are what the edges of TestPoolOfADay do next, the first in front.
type visits []comeOrGo

type comeOrGo struct {
	at   time.Time
	who  int
	come bool
}

func (v visits) Len() int           { return len(v) }
func (v visits) Less(i, j int) bool { return v[i].at.Before(v[j].at) }
func (v visits) Swap(i, j int)      { v[i], v[j] = v[j], v[i] }
func (v *visits) Push(x any)        { *v = append(*v, x.(comeOrGo)) }
func (v *visits) Pop() any {
	last := len(*v) - 1
	x := (*v)[last]
	*v = (*v)[:last]
	return x
}

// poolDay is a community of which members come and go, without their packets.
type poolDay struct {
	*rig
	cid  [16]byte
	here map[int]*registration
}

// come registers a member, which has to get an address that nobody has who is here.
func (p *poolDay) come(who int) {
	g := p.s.controls.registrar
	var owner [32]byte
	binary.BigEndian.PutUint32(owner[28:], uint32(who))
	mac := protocol.MAC{2, 0, byte(who >> 24), byte(who >> 16), byte(who >> 8), byte(who)}
	source := netip.AddrFrom4([4]byte{20 + byte(who>>16), byte(who >> 8), byte(who), 1})
	if who%5 == 0 { // in one of twenty offices
		source = netip.AddrFrom4([4]byte{198, 51, 100 + byte(who/5%20), 1})
	}
	statement := append(owner[:], make([]byte, crypto.StatementLen-len(owner))...)
	h := &hop{source: source, ends: ends{addr: netip.AddrPortFrom(source, 4000)}, hopTimes: hopTimes{created: p.now, heard: p.now}}
	a := applicant{
		hop: h, request: &protocol.Register{CID: p.cid, MAC: mac, Statement: statement},
		statement: crypto.Statement{ID: owner, CID: p.cid, MAC: mac, Seq: 1},
	}
	d, refused := g.decide(p.now, a)
	if refused != nil {
		p.t.Fatalf("member %d is refused: %+v", who, refused.nak)
	}
	if gone := d.choice.yields; gone != nil && gone.place >= 0 {
		p.t.Fatalf("member %d gets %v of one that is here", who, gone.lease)
	}
	r := g.grant(a, d)
	if !r.lease.IsValid() || !r.community.pool.Contains(r.lease.Addr()) {
		p.t.Fatalf("member %d has no address with %d here: %v", who, len(p.here), r.lease)
	}
	g.registry.setStatement(r, statement)
	g.registry.moveTo(r, h.addr)
	r.hop = h
	g.registry.setOnline(r)
	p.here[who] = r
}

// leave ends the visit of a member, who says so or does not.
func (p *poolDay) leave(who int) {
	r := p.here[who]
	delete(p.here, who)
	r.hop.heard = p.now
	p.s.registry.setOffline(r)
	r.hop = nil
	if who%2 == 0 {
		p.s.registry.setLeft(p.now, r)
	}
}

// TestPoolOfADay: 20 000 members of one community come and go in a day, some of them several
// times, and up to 15 000 are there at once: more than the pool has addresses for want one
// that lasts for a day, and nobody who is here is refused one or loses his. With the race
// detector all is a quarter.
func TestPoolOfADay(t *testing.T) {
	cfg, bits, members := Config{}, defaultPoolBits, 20_000
	if race {
		cfg.Pool, bits, members = netip.MustParsePrefix("10.65.0.0/20"), 20, 5000
	}
	p := &poolDay{rig: newRig(t, cfg), cid: [16]byte{0x12, 0x34}, here: make(map[int]*registration)}
	random, began := rand.New(rand.NewPCG(1, 2)), p.now
	var next visits
	for who := range members {
		heap.Push(&next, comeOrGo{began.Add(time.Duration(random.Float64() * 20 * float64(time.Hour))), who, true})
	}
	most, taken, swept := 0, 0, began
	for len(next) > 0 && next[0].at.Before(began.Add(24*time.Hour)) {
		v := heap.Pop(&next).(comeOrGo)
		for p.now = v.at; p.now.Sub(swept) >= time.Minute; swept = swept.Add(time.Minute) {
			for range len(p.s.registry.all)/expiryRun + 1 {
				p.s.controls.registrar.expire(p.now)
			}
		}
		mean := 14 * float64(time.Hour)
		if v.come {
			p.come(v.who)
		} else {
			p.leave(v.who)
			mean = 6 * float64(time.Hour)
		}
		heap.Push(&next, comeOrGo{v.at.Add(time.Duration(random.ExpFloat64() * mean)), v.who, !v.come})
		most = max(most, len(p.here))
		taken = max(taken, len(p.s.registry.communities[p.cid].byAddr))
	}
	t.Logf("%d members at most were here at once, %d addresses were held", most, taken)
	if taken < 1<<(32-bits)-3 {
		t.Errorf("the pool was never full: %d addresses were held", taken)
	}
	for who, r := range p.here {
		if r.community.byAddr[r.lease.Addr()] != r {
			t.Errorf("member %d is here and has lost %v", who, r.lease)
		}
	}
}

// TestPoolOnceSmaller: members of a community of which the pool was its core keep their
// addresses, get the length of today when they ask again, and reach newcomers with the old
// one as long as there is room in the core; who insists on his length has it.
func TestPoolOnceSmaller(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	pool, core := poolOf(netip.Prefix{}, c.ID())
	if pool.Bits() != 18 || !pool.Contains(core.Addr()) || core.Bits() != 20 {
		t.Fatalf("pool %v, core %v", pool, core)
	}
	had := netip.PrefixFrom(core.Addr().Next().Next(), core.Bits())
	old := r.edge(c, "old", 1)
	old.connect()
	m := old.request()
	m.Prefix = had
	if ack, _ := old.register(m); ack == nil || ack.Lease != netip.PrefixFrom(had.Addr(), pool.Bits()) {
		t.Errorf("the one with %v got %+v", had, ack)
	}
	for i := range 20 {
		if lease := r.edge(c, string(rune('a'+i)), 10+i).join().ack.Lease; !core.Contains(lease.Addr()) || lease.Bits() != pool.Bits() {
			t.Errorf("a newcomer got %v, the core is %v", lease, core)
		}
	}
	insists := r.edge(c, "insists", 2)
	wanted := netip.PrefixFrom(core.Addr().Next().Next().Next(), core.Bits())
	if ack, _ := insists.asks(wanted.String()); ack == nil || ack.Lease != wanted {
		t.Errorf("the one that insists on %v got %+v", wanted, ack)
	}
	// A core without a free address: the rest of the pool is leased.
	var full leased
	for a := core.Addr(); core.Contains(a); a = a.Next() {
		full.add(a)
	}
	community := r.s.registry.communities[c.ID()]
	community.addresses.leased = full
	if lease, ok := community.free(community.pool, [32]byte{1}); !ok || core.Contains(lease.Addr()) || !pool.Contains(lease.Addr()) || lease.Bits() != pool.Bits() {
		t.Errorf("with a full core %v", lease)
	}
	r.s.registry.communities[c.ID()].addresses.leased = leased{}
	for a := range community.byAddr {
		community.addresses.leased.add(a)
	}
}

// TestWithoutAddress: who finds the pool full is registered all the same, is told so, is
// relayed to, and gets an address when one is free.
func TestWithoutAddress(t *testing.T) {
	r := newRig(t, Config{Pool: prefix("10.77.0.0/30")})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	e := r.edge(c, "e", 3).join()
	if e.ack.Lease.IsValid() || e.ack.Code != protocol.CodePool || e.ack.Members != 3 {
		t.Errorf("the third of two got %+v", e.ack)
	}
	if n := r.dropped(dropPool); n != 1 {
		t.Errorf("%d are counted", n)
	}
	packet := make([]byte, 100)
	if from, _ := e.unwrap(r.deliver(a.addr, a.wrap(e.ack.Handle, 0, packet))); len(from) != 1 || from[0] != a.ack.Handle {
		t.Errorf("relayed to it: %v", from)
	}
	had := b.ack.Lease
	b.ask(&protocol.Unregister{})
	if ack, nak := e.register(e.request()); ack == nil || ack.Lease != had || ack.Code != 0 {
		t.Errorf("with a free address it got %+v, %+v", ack, nak)
	}
	assertUnique(t, r)
}
