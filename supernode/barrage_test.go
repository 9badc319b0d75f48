package supernode

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/integration/attack/barrage"
	"hedgerow/protocol"
)

// Who is who around a besieged supernode.
const (
	hostileMember   = iota // of the honest edges' community
	hostileOther           // another one there
	hostileStranger        // of a community of its own
	hostileGuest           // with a session and no registration
	honestLeft
	honestRight
	besiegers
)

// besieged is a supernode among edges with sessions, all of them hostile but two.
type besieged struct {
	*rig
	tape      *barrage.Tape
	random    *rand.ChaCha8
	edges     [besiegers]*farEdge
	unproved  map[netip.AddrPort]*unproved
	faults    []error
	authentic int
}

// unproved are the bytes and packets of an address that proves nothing.
type unproved struct{ in, out, packetsIn, packetsOut int }

// farEdge is an edge around a besieged supernode.
type farEdge struct {
	*adversary.Guest
	stage     *besieged
	community *crypto.Community
	cid       [16]byte
	addr      netip.AddrPort
	mac       protocol.MAC
	statement []byte
	proofs    map[protocol.MAC]*protocol.Register // of this session
	handle    uint32                              // of its last ACK; 0: none
	ping      [8]byte                             // of the last PING that it heard
	pongs     int
	began     time.Time // its session
	pinged    time.Time
	got       int // packets that were relayed to it
}

// edgesOfBarrage are identities, which take long to make.
var edgesOfBarrage = func() (list [besiegers + 4]*crypto.Identity) {
	for i := range list {
		list[i] = identity(fmt.Sprint("barrage", i))
	}
	return list
}()

// What is derived from a community takes long, too.
var (
	communitiesOfBarrage = [2]*crypto.Community{testCommunity("barrage", "a"), testCommunity("barrage", "b")}
	cidsOfBarrage        = [2][16]byte{communitiesOfBarrage[0].ID(), communitiesOfBarrage[1].ID()}
	rendezvousOfBarrage  = [2][32]byte{rendezvousOf(communitiesOfBarrage[0]), rendezvousOf(communitiesOfBarrage[1])}
)

// besiege makes a besieged supernode.
func besiege(tb testing.TB, seed uint64) barrage.Stage {
	b := &besieged{rig: newRig(tb, Config{}), unproved: make(map[netip.AddrPort]*unproved)}
	b.random = rand.NewChaCha8([32]byte{0xba, byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	b.s.timers.Strict = func(name string) { b.fault("the timer %q is due again at once", name) }
	around := adversary.Surroundings{Rand: b.random, Now: func() time.Time { return b.now }}
	for i := range b.edges {
		n := 0
		if i == hostileStranger {
			n = 1
		}
		c, cid := communitiesOfBarrage[n], cidsOfBarrage[n]
		id := edgesOfBarrage[i]
		e := &farEdge{
			Guest: adversary.NewGuest(around, id, b.s.Key(), uint32(i+1)<<16), stage: b, community: c, cid: cid, addr: address(1 + 1000*i), mac: id.MAC(cid),
		}
		e.statement = id.SignStatement(crypto.Statement{CID: cid, MAC: e.mac, Seq: 1, Expiry: 1 << 40})
		b.edges[i] = e
	}
	for i, e := range b.edges {
		e.meet()
		if i != hostileGuest {
			e.say(e.claim(e.mac, e.statement).Append)
			if e.handle == 0 {
				tb.Fatalf("edge %d is not registered: drops %v", i, b.s.refused.drops.nonzero())
			}
		}
	}
	if err := errors.Join(b.Check(), b.Verify()); err != nil {
		tb.Fatalf("before the first move: %v", err)
	}
	return b
}

func (b *besieged) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

// send hands in a packet that could be made, and answers to the edges as they are.
func (b *besieged) send(from netip.AddrPort, pkt []byte, err error) {
	if err != nil || len(pkt) == 0 || len(pkt) > len(b.in.Buf) {
		return
	}
	b.in.N, b.in.Addr, b.in.Seg = copy(b.in.Buf, pkt), from, 0
	if u := b.unproved[from]; u != nil {
		u.in, u.packetsIn = u.in+len(pkt), u.packetsIn+1
	}
	b.handle(&b.in)
	b.s.sockets.flush(b.out)
	b.hear()
}

// hear has everybody hear what was sent to him.
func (b *besieged) hear() {
	for _, d := range b.conn.drain() {
		if u := b.unproved[d.to]; u != nil {
			u.out, u.packetsOut = u.out+len(d.pkt), u.packetsOut+1
			if u.out > u.in || u.packetsOut > u.packetsIn {
				b.fault("%v, which has proved nothing, got more than came from there: %+v", d.to, *u)
			}
		}
		for _, e := range b.edges {
			if e.addr == d.to {
				e.hear(d.pkt)
			}
		}
	}
}

// elapse lets time pass.
func (b *besieged) elapse(d time.Duration) {
	for end := b.now.Add(d); b.now.Before(end); {
		step := min(end.Sub(b.now), max(time.Millisecond, b.s.timers.Next().Sub(b.now)))
		b.now = b.now.Add(step)
		b.s.timers.Run(b.now)
		b.s.sockets.flush(b.s.notices.out)
		b.hear()
		b.keep()
	}
}

// keep has the honest edges do what edges do: ping, and make another session before
// theirs is worn.
func (b *besieged) keep() {
	const pingEvery, lasts = 20 * time.Second, 10 * time.Minute
	for _, e := range b.edges[honestLeft:] {
		if b.now.Sub(e.began) > lasts {
			e.renew()
		} else if b.now.Sub(e.pinged) > pingEvery {
			e.pinged = b.now
			e.say((&protocol.Ping{Nonce: [8]byte{8}, Pad: 100}).Append)
		}
	}
}

// Move makes the move that the tape begins with.
func (b *besieged) Move(t *barrage.Tape) int {
	b.tape, b.authentic = t, 0
	move := moves[t.Byte()]
	b.elapse(time.Duration(1+t.Pick(16)) * time.Millisecond)
	if b.renewed() {
		return 0 // handshakes take as long as a hundred packets
	}
	failed := b.failed()
	move(b)
	return max(0, b.authentic-(b.failed()-failed))
}

// failed returns how many packets did not authenticate so far.
func (b *besieged) failed() int {
	return int(b.dropped(dropUnknownSession) + b.dropped(dropOpen) + b.dropped(dropRelayTag) + b.dropped(dropReplay))
}

// Check returns what does not hold of the honest edges and of the counts.
func (b *besieged) Check() error {
	g := b.s.registry
	for _, i := range []int{honestLeft, honestRight} {
		e := b.edges[i]
		r := g.byHandle[e.handle]
		if r == nil || r.mac != e.mac || r.place < 0 || r.hop == nil || r.hop.addr != e.addr || r.hop.session.LocalIndex() != e.Session.RemoteIndex() {
			b.fault("honest edge %d is not registered as it was: %+v", i, r)
		}
	}
	if n := len(b.s.sessions.byIdx); n > 4*besiegers+g.limits.Guests || len(g.byHandle) > 4*besiegers || len(g.communities) > 2 {
		b.fault("%d sessions, %d registrations, %d communities", n, len(g.byHandle), len(g.communities))
	}
	return errors.Join(b.faults...)
}

// Verify looks at all tables, and whether the packets of the honest edges pass.
func (b *besieged) Verify() error {
	if err := b.s.Verify(); err != nil {
		b.faults = append(b.faults, err)
	}
	for _, f := range b.s.invariants() {
		b.fault("%s", f)
	}
	left, right := b.edges[honestLeft], b.edges[honestRight]
	for _, way := range [][2]*farEdge{{left, right}, {right, left}} {
		got, pongs := way[1].got, way[0].pongs
		pkt, err := way[0].Relay(way[1].handle, 0, make([]byte, 100))
		b.send(way[0].addr, pkt, err)
		way[0].say((&protocol.Ping{Nonce: [8]byte{9}, Pad: 100}).Append)
		if way[1].got != got+1 || way[0].pongs != pongs+1 {
			b.fault("of an honest edge %d packets of 1 passed, and %d pings were answered: drops %v", way[1].got-got, way[0].pongs-pongs, b.s.refused.drops.nonzero())
		}
	}
	return b.Check()
}

// End has nothing to end.
func (b *besieged) End() {}

// meet makes a session.
func (e *farEdge) meet() {
	e.proofs = make(map[protocol.MAC]*protocol.Register)
	pkt, err := e.Initiate()
	e.stage.send(e.addr, pkt, err)
}

// renew makes a session and registers in it.
func (e *farEdge) renew() {
	e.meet()
	e.say(e.claim(e.mac, e.statement).Append)
}

// claim returns a REGISTER that proves membership in this session.
func (e *farEdge) claim(mac protocol.MAC, statement []byte) *protocol.Register {
	if e.proofs[mac] == nil {
		e.proofs[mac] = e.Claim(e.community, mac, nil)
	}
	m := *e.proofs[mac]
	m.Statement = statement
	return &m
}

// say sends control messages.
func (e *farEdge) say(messages ...adversary.Message) {
	pkt, err := e.Say(messages...)
	e.stage.send(e.addr, pkt, err)
}

// hear takes a packet of the supernode.
func (e *farEdge) hear(pkt []byte) {
	got, err := e.Handle(pkt)
	if err != nil {
		return
	}
	if got.Began {
		clear(e.proofs)
		e.began, e.pinged = e.stage.now, e.stage.now
	}
	if got.Packet != nil {
		e.got++
	}
	if got.Reply != nil {
		e.stage.send(e.addr, got.Reply, nil)
		return
	}
	var pong *protocol.Pong
	adversary.Messages(got.Inner, func(typ protocol.MsgType, value []byte) {
		switch typ {
		case protocol.MsgPing:
			if m, err := protocol.ParsePing(value); err == nil {
				e.ping = m.Nonce
				pong = &protocol.Pong{Nonce: m.Nonce}
			}
		case protocol.MsgPong:
			e.pongs++
		case protocol.MsgAck:
			if m, err := protocol.ParseAck(value); err == nil {
				e.handle = m.Handle
			}
		}
	})
	if pong != nil {
		e.say(pong.Append)
	}
}

// FuzzBarrage has edges, in their sessions, do what the fuzzer's bytes say.
func FuzzBarrage(f *testing.F) { barrage.Target(besiege).Fuzz(f) }

// TestBarrage plays inputs that are drawn, or a script that one of the two has left.
func TestBarrage(t *testing.T) { barrage.Target(besiege).Run(t) }

// rendezvousOf returns the rendezvous public key of a community.
func rendezvousOf(c *crypto.Community) [32]byte {
	return [32]byte(c.Rendezvous().Public().(ed25519.PublicKey))
}
