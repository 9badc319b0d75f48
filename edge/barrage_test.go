package edge

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/subnet"
	"hedgerow/integration/attack/adversary"
	"hedgerow/integration/attack/barrage"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/transport"
)

// Who is who around a besieged edge.
const (
	hostileDirect = iota // a bridge by its own word
	hostileRelay
	honestDirect
	hostileLate // comes when a tape says so
	besiegers

	memberIdentity = 10 // number of the first one's identity
)

// besieged is an edge with its queue, a supernode and members, all with sessions and all
// hostile but one. The queue is served by a goroutine of its own, the control loop by
// hand; what everybody sends is sealed in his session and comes by the socket.
type besieged struct {
	*testEdge
	random  *rand.ChaCha8
	tape    *barrage.Tape
	wire    *barrageWire
	host    *hostFrames
	turn    *turnstile
	hub     *farSupernode
	members [besiegers]*farMember
	table   *routeTable // nil: no networks behind others are accepted
	faults  []error
	leaf    bool // it takes frames of hubs alone

	sender    *farMember // of the packet at hand, if it is a member's
	authentic int        // packets that were sealed in a session and sent
	spoken    int        // frames of the honest member that may be delivered
	delivered int        // those that were
}

var (
	besiegedAt = netip.MustParseAddrPort("192.0.2.1:4000")
	hubAt      = netip.MustParseAddrPort("203.0.113.1:7654")
)

// barrageWire is the socket of a besieged edge.
type barrageWire struct {
	*memoryConn
	waiting []sentDatagram // to is from
}

// ReadBatch reads what waits.
func (w *barrageWire) ReadBatch(ds []transport.Datagram) (n int, err error) {
	for ; n < len(ds) && n < len(w.waiting); n++ {
		ds[n].N, ds[n].Addr, ds[n].Seg = copy(ds[n].Buf, w.waiting[n].pkt), w.waiting[n].to, 0
	}
	w.waiting = append(w.waiting[:0], w.waiting[n:]...)
	return n, nil
}

// put has a datagram wait, which seems to come from an address.
func (w *barrageWire) put(from netip.AddrPort, pkt []byte) {
	w.waiting = append(w.waiting, sentDatagram{from, append([]byte(nil), pkt...)})
}

// hostFrames is the device of a besieged edge, with frames of its host.
type hostFrames struct {
	*memoryDevice
	waiting [][]byte
}

// ReadBatch reads one frame.
func (h *hostFrames) ReadBatch(frames []tap.Frame) (int, error) {
	if len(h.waiting) == 0 {
		return 0, nil
	}
	frames[0].Len, h.waiting = copy(frames[0].Buf[frames[0].Off:], h.waiting[0]), h.waiting[1:]
	return 1, nil
}

// turnstile has a queue work when it is told to, and whoever tells it wait until it has.
type turnstile struct {
	work, idle chan struct{}
	fault      any // what the queue panicked with
}

// Wait waits for the next turn.
func (w *turnstile) Wait() error {
	w.idle <- struct{}{}
	if _, ok := <-w.work; !ok {
		return net.ErrClosed
	}
	return nil
}

func (w *turnstile) Stop()          {}
func (w *turnstile) Sleeps() uint64 { return 0 }

// serve serves a queue until close.
func (w *turnstile) serve(p *dataplane.Plane, q dataplane.Queue) {
	defer close(w.idle)
	defer func() {
		if v := recover(); v != nil {
			w.fault = fmt.Sprintf("%v\n%s", v, debug.Stack())
		}
	}()
	_ = p.Serve(q, 0)
}

// pass lets the queue have its turn.
func (w *turnstile) pass() {
	w.work <- struct{}{}
	if <-w.idle; w.fault != nil {
		panic(w.fault)
	}
}

func (w *turnstile) close() {
	close(w.work)
	for range w.idle {
	}
}

// hubsOfBarrage are the honest member and the hostile one with a direct path.
func hubsOfBarrage() [][32]byte {
	list := [][32]byte{[32]byte(besieger(memberIdentity + hostileDirect).ID), [32]byte(besieger(memberIdentity + honestDirect).ID)}
	slices.SortFunc(list, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	return list
}

// acceptAll accepts every network behind others, and a default route of the honest member.
var acceptAll = func() subnet.Policy {
	p, err := subnet.ParsePolicy("all")
	if err != nil {
		panic(err)
	}
	p.Exit = hex.EncodeToString(testIdentity(memberIdentity + honestDirect).ID[:6])
	return p
}()

// besiege makes a besieged edge. Every other one is a bridge, or accepts networks behind
// others, and each eighth a leaf of
// a community with hubs.
func besiege(tb testing.TB, seed uint64) barrage.Stage {
	time.Sleep(time.Until(noon))
	b := &besieged{tape: barrage.NewTape(nil), random: rand.NewChaCha8([32]byte{0xba, byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})}
	b.turn = &turnstile{work: make(chan struct{}), idle: make(chan struct{})}
	hub := besieger(200)
	var queue dataplane.Queue
	b.testEdge = newEdge(tb, func(c *Config) {
		withTransports(c)
		c.Host.Rand = b.random
		if barrage.Replaying() {
			c.Host.Log = slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		c.Supernodes[0].Key = &hub.Static
		c.Ethernet.Bridge = seed%2 == 1
		if seed%4 < 2 {
			b.table = new(routeTable)
			c.Address.Subnets = Subnets{Accept: acceptAll, Table: b.table}
		}
		if b.leaf = seed%16 >= 14; b.leaf {
			c.Ethernet.Hubs = hubsOfBarrage()
		}
		b.wire = &barrageWire{memoryConn: c.Queues[0].Conn.(*memoryConn)}
		b.host = &hostFrames{memoryDevice: c.Device.(*memoryDevice)}
		queue = dataplane.Queue{Frames: b.host, Conn: b.wire, Waiter: b.turn}
		c.Queues = []dataplane.Queue{queue}
	})
	go b.turn.serve(b.data.plane, queue)
	<-b.turn.idle
	around := adversary.Surroundings{Rand: b.random, Now: time.Now}
	b.hub = &farSupernode{Supernode: adversary.NewSupernode(around, hub), edge: b}
	for i := range b.members {
		b.members[i] = newFarMember(b, around, i)
	}
	b.meet(tb)
	return b
}

// identities are those of the besiegers and of whom they pretend to be, which take long
// to make.
var identities [256]*crypto.Identity

func besieger(n byte) *crypto.Identity {
	if identities[n] == nil {
		identities[n] = testIdentity(n)
	}
	return identities[n]
}

// meet has all sessions made, and the direct paths found.
func (b *besieged) meet(tb testing.TB) {
	const longest = 60
	b.answer()
	b.elapse(2 * time.Second)
	for _, m := range b.members[:hostileLate] {
		m.meet()
		b.elapse(300 * time.Millisecond)
	}
	for n := 0; n < longest && !b.paths.routing.found(b); n++ {
		for _, m := range b.members[:hostileLate] {
			m.speak()
		}
		b.elapse(200 * time.Millisecond)
	}
	if !b.paths.routing.found(b) {
		tb.Fatalf("no direct path to the members: %+v", b.drops())
	}
	b.faults, b.authentic = nil, 0
	if err := errors.Join(b.Check(), b.Verify()); err != nil {
		tb.Fatalf("before the first move: %v", err)
	}
}

// found reports whether all members that should have direct paths have them, and nothing
// is dual any more.
func (r *routing) found(b *besieged) bool {
	for _, i := range []int{hostileDirect, honestDirect} {
		p := b.peers.byStatic[b.members[i].Identity().Static]
		if p == nil || !p.identity.proven || p.view.Route().Direct != b.members[i].addr {
			return false
		}
	}
	return true
}

// elapse lets time pass, and everybody do what is due.
func (b *besieged) elapse(d time.Duration) {
	const shortest, longest, speakEvery = time.Millisecond, 200 * time.Millisecond, 5 * time.Second
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(max(shortest, min(longest, time.Until(end), time.Until(b.deadline()))))
		b.pump()
		b.answer()
		if m := b.members[honestDirect]; m.Session != nil && time.Since(m.spoke) > speakEvery {
			m.speak()
		}
	}
}

// pump has the queue and the control loop do what there is to do.
func (b *besieged) pump() {
	now := time.Now()
	b.turn.pass()
	known, strangers := b.data.plane.Known(), b.data.plane.Strangers()
	for {
		var ev dataplane.Event
		select {
		case ev = <-known:
		case ev = <-strangers:
		default:
			if at := b.deadline(); !at.After(now) {
				b.tick(now)
			}
			return
		}
		b.handleEvent(now, ev)
		b.settle(now)
	}
}

// answer has everybody answer what the edge has sent, and the edge what comes then.
func (b *besieged) answer() {
	const rounds = 8
	for range rounds {
		sent := b.sentNow()
		for _, d := range sent {
			if d.to == hubAt {
				b.hub.handle(d.pkt)
				continue
			}
			for _, m := range b.members {
				if m.addr == d.to {
					m.handle(d.pkt, true)
				}
			}
		}
		b.receive()
		b.sides().delivered = nil
		if len(b.wire.waiting) == 0 {
			return
		}
		b.pump()
	}
	b.wire.waiting = nil
}

// receive looks at what the edge's host got.
func (b *besieged) receive() {
	for _, f := range b.device.take() {
		frame := protocol.Frame(f)
		if err := frame.Valid(); err != nil {
			b.fault("%x was delivered: %v", f, err)
		} else if src := frame.Src(); [5]byte(src[1:]) != [5]byte(b.self.mac[1:]) || src == b.self.mac && !b.isBridge() { // its probes and queries
			b.received(frame, src)
		}
	}
	b.reported = b.reported[:0]
}

// received looks at a frame that is not the edge's own.
func (b *besieged) received(frame protocol.Frame, src protocol.MAC) {
	honest := b.members[honestDirect].MAC
	switch {
	case src == honest && b.isBridge(): // it may have come from the LAN
	case src == honest:
		if b.delivered++; b.delivered > b.spoken {
			b.fault("a frame in the name of the honest member was delivered: %x", frame)
		}
	case b.leaf && b.sender != nil && b.sender != b.members[hostileDirect]:
		b.fault("a leaf delivered a frame of %s, which is no hub: %x", b.sender.name, frame)
	case src.IsGroup() || src == b.self.mac:
		b.fault("a frame of %v was delivered: %x", src, frame)
	}
}

func (b *besieged) isBridge() bool { return b.paths.segment != nil }

func (b *besieged) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

// Move makes the move that the tape begins with.
func (b *besieged) Move(t *barrage.Tape) int {
	b.tape, b.authentic, b.sender = t, 0, nil
	move := moves[t.Byte()]
	time.Sleep(time.Duration(1+t.Pick(8)) * time.Millisecond)
	if b.renewed() {
		return 0 // handshakes take as long as a hundred packets
	}
	ignored := b.ignored()
	move(b)
	b.pump()
	n := b.authentic - (b.ignored() - ignored)
	b.answer()
	return max(0, n)
}

// ignored returns how many packets did not authenticate so far, or were too many of one
// member.
func (b *besieged) ignored() (n int) {
	for _, r := range []dataplane.DropReason{
		dataplane.DropControlRate, dataplane.DropUnknownSession, dataplane.DropOpen, dataplane.DropReplay, dataplane.DropQueueFull, dataplane.DropGroupBudget,
	} {
		n += int(b.data.plane.Drops().Count(r))
	}
	return n
}

// renewed has a hostile member that had a session make another one when the edge has
// ended it, and reports whether one has.
func (b *besieged) renewed() bool {
	now := time.Now()
	for _, m := range b.members {
		if m == b.members[honestDirect] || m.Session == nil || now.Sub(m.renewed) < time.Second || b.data.draft.Session(m.Session.RemoteIndex()) != nil {
			continue
		}
		m.renewed = now
		pkt, err := m.Initiate()
		m.send(false, pkt, err)
		b.pump()
		b.answer()
		return true
	}
	return false
}

// Check returns what does not hold of any peer.
func (b *besieged) Check() error {
	now := time.Now()
	for _, p := range b.peers.byStatic {
		for _, i := range invariants {
			if !i.hold(b, p) {
				b.fault("it does not hold of %v that %s", p.LogValue(), i.name)
			}
		}
	}
	for _, o := range b.owners {
		if at := o.deadline(); !at.IsZero() && at.Before(now) {
			b.fault("%T had something to do at %v and has not at %v", o, at, now)
		}
	}
	if n := len(b.peers.changed); n != 0 || b.data.draft.Changed() {
		b.fault("%d peers are not settled, the draft has changed: %v", n, b.data.draft.Changed())
	}
	return errors.Join(b.faults...)
}

// Verify also looks at what is published, at the bounds of all tables, and whether the
// frames of the honest member pass.
func (b *besieged) Verify() error {
	if err := verify(b.Edge, time.Now()); err != nil {
		b.faults = append(b.faults, err)
	}
	if b.table != nil {
		for _, r := range b.table.routes {
			if r.Prefix.Bits() < 2 {
				b.fault("there is a default route that the honest member does not announce: %+v", r)
			}
		}
	}
	for _, c := range b.ceilings() {
		if c.Count > c.Max {
			b.fault("%d %s, at most %d", c.Count, c.Table, c.Max)
		}
	}
	b.alive()
	return b.Check()
}

// ceilings asks how full the tables are, and answers for the loop.
func (b *besieged) ceilings() []Ceiling {
	told := make(chan []Ceiling)
	go func() {
		list, err := b.Ceilings(context.Background())
		if err != nil {
			list = []Ceiling{{Table: err.Error(), Count: 1}}
		}
		told <- list
	}()
	for {
		select {
		case ask := <-b.background.requests:
			ask(time.Now())
			b.settle(time.Now())
		case list := <-told:
			return list
		}
	}
}

// alive exchanges frames with the honest member, which makes another session if it has
// lost its one.
func (b *besieged) alive() {
	const tries = 6
	m := b.members[honestDirect]
	for range tries {
		delivered, heard := b.delivered, m.frames
		m.speak()
		b.host.waiting = append(b.host.waiting, ethernet(m.MAC, b.self.mac, 0x88b5, 50))
		b.elapse(5 * time.Millisecond)
		if (b.isBridge() || b.delivered > delivered) && m.frames > heard {
			return
		}
		m.Forget()
		m.meet()
		b.elapse(5 * time.Second)
	}
	b.fault("the frames of the honest member do not pass: %v", b.drops())
}

// End ends the queue.
func (b *besieged) End() { b.turn.close() }

// FuzzBarrage has members and a supernode, in their sessions, do what the fuzzer's bytes say.
func FuzzBarrage(f *testing.F) { barrage.Target(besiege).Fuzz(f) }

// TestBarrage plays inputs that are drawn, or a script that one of the two has left.
func TestBarrage(t *testing.T) { barrage.Target(besiege).Run(t) }
