package path

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/nattest"
	"hedgerow/transport"
)

// The packets of these tests: a letter, then what it needs. They stand for what
// sessions carry, and are trusted as if those had opened them.
const (
	letterRegister = 'R' // edge to supernode: number of the edge
	letterWant     = 'W' // edge to supernode: arrange a punch
	letterPunch    = 'V' // supernode to edge: address of the other
	letterPing     = 'P' // nonce, padding
	letterPong     = 'Q' // nonce, address seen, padding
	letterFrame    = 'F' // number, relayed or direct
	letterWho      = 'N' // anybody to supernode: answered with the address it came from
)

const punchDelay = 20 * time.Millisecond

// world is an internet with a supernode and two edges that want to talk.
type world struct {
	t       testing.TB
	net     *nattest.Internet
	relay   *nattest.Conn
	mu      sync.Mutex
	seen    [2]netip.AddrPort // of the edges, by the supernode
	mute    atomic.Bool       // the supernode arranges no punch
	silent  atomic.Bool       // the edges exchange no CALL
	calling atomic.Bool
	start   time.Time
	mapping [2]address.MappingBehavior // of the edges' NATs
	edges   [2]*edge
}

// edge drives one Machine as the edge's control loop does.
type edge struct {
	w       *world
	number  byte
	conn    *nattest.Conn
	path    *Machine
	policy  *address.Policy
	calls   chan func()
	from    chan transport.Datagram
	stopped chan struct{}
	state   State // as the transitions say
	history []step
	frames  map[uint32]int
	probes  int // sent
	spins   int // Polls whose Deadline did not move on
	extra   extraSockets
}

// step is one change of a route.
type step struct {
	at    time.Time
	route Route
}

func parse(s string) netip.Addr { return netip.MustParseAddr(s) }

// meet runs f in a bubble with two edges behind what left and right make.
func meet(t *testing.T, left, right func(n *nattest.Internet) *nattest.Host, f func(t *testing.T, w *world)) {
	meetBySeed(t, 7, left, right, f)
}

// meetBySeed is meet in an internet whose random ports follow a seed.
func meetBySeed(t *testing.T, seed uint64, left, right func(n *nattest.Internet) *nattest.Host, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: nattest.New(seed)}
		defer w.net.Close()
		var err error
		if w.relay, err = w.net.Host(parse("198.51.100.1")).Listen(7654); err != nil {
			t.Fatal(err)
		}
		go w.serve()
		for i, place := range []func(*nattest.Internet) *nattest.Host{left, right} {
			w.edges[i] = w.newEdge(byte(i), place(w.net))
		}
		time.Sleep(time.Second) // registered
		w.start = time.Now()
		f(t, w)
		for _, e := range w.edges {
			spins := 0
			e.do(func() { spins = e.spins })
			e.do(e.extra.close)
			close(e.stopped)
			e.conn.Close()
			if spins > 0 {
				t.Errorf("edge %d: %d deadlines did not move on", e.number, spins)
			}
		}
	})
}

// behind makes a host behind a router of its own.
func behind(outside, inside string, b nattest.Behavior) func(n *nattest.Internet) *nattest.Host {
	return func(n *nattest.Internet) *nattest.Host {
		return n.Router(parse(outside), b).Host(parse(inside))
	}
}

func public(addr ...string) func(n *nattest.Internet) *nattest.Host {
	return func(n *nattest.Internet) *nattest.Host {
		var list []netip.Addr
		for _, a := range addr {
			list = append(list, parse(a))
		}
		return n.Host(list...)
	}
}

// serve is the supernode: it relays, and arranges punches.
func (w *world) serve() {
	in := []transport.Datagram{{Buf: make([]byte, 2048)}}
	for {
		if !next(w.relay, in) {
			return
		}
		b := slices.Clone(in[0].Payload())
		number := b[1]
		other := 1 - number
		switch b[0] {
		case letterRegister:
			w.mu.Lock()
			w.seen[number] = in[0].Addr
			w.mu.Unlock()
		case letterWant:
			if !w.mute.Load() {
				w.send(w.relay, w.address(number), append([]byte{letterPunch, number}, w.address(other).String()...))
				w.send(w.relay, w.address(other), append([]byte{letterPunch, other}, w.address(number).String()...))
			}
		case letterFrame:
			w.send(w.relay, w.address(other), b)
		case letterWho:
			w.send(w.relay, in[0].Addr, append([]byte{letterWho, 0}, in[0].Addr.String()...))
		}
	}
}

// next waits for a datagram and reads it; false is the end of the connection.
func next(c *nattest.Conn, in []transport.Datagram) bool {
	for {
		if c.Wait() != nil {
			return false
		}
		if n, err := c.ReadBatch(in); n > 0 || err != nil {
			return err == nil
		}
	}
}

func (w *world) send(c *nattest.Conn, to netip.AddrPort, b []byte) {
	if to.IsValid() {
		c.WriteBatch([]transport.Datagram{{Buf: b, N: len(b), Addr: to}})
	}
}

func (w *world) newEdge(number byte, host *nattest.Host) *edge {
	conn, err := host.Listen(0)
	if err != nil {
		w.t.Fatal(err)
	}
	e := &edge{w: w, number: number, conn: conn, frames: map[uint32]int{},
		policy: testPolicy(),
		calls:  make(chan func()), from: make(chan transport.Datagram), stopped: make(chan struct{})}
	e.policy.Supernodes, e.policy.Side = []netip.AddrPort{w.relay.LocalAddr()}, sidePrefix
	e.policy.Phase = time.Duration(number) * 4 * time.Second
	e.path = New(e.policy, address.NewBudget(), rand.NewPCG(uint64(number), w.net.Seed()))
	e.extra = extraSockets{edge: e, host: host, sides: map[netip.AddrPort]far{}}
	e.policy.Outside = func(side netip.AddrPort) (netip.AddrPort, bool) {
		f, ok := e.extra.sides[side]
		return f.to, ok
	}
	go e.read()
	go e.run()
	return e
}

func (e *edge) read() {
	for {
		in := []transport.Datagram{{Buf: make([]byte, 2048)}}
		if !next(e.conn, in) {
			return
		}
		select {
		case e.from <- in[0]:
		case <-e.stopped:
			return
		}
	}
}

func (e *edge) run() {
	register := time.NewTicker(20 * time.Second)
	defer register.Stop()
	e.register()
	for {
		var wake <-chan time.Time
		if d := e.path.Deadline(); !d.IsZero() {
			wake = time.After(time.Until(d))
		}
		select {
		case <-e.stopped:
			return
		case f := <-e.calls:
			f()
		case d := <-e.from:
			e.handle(d)
		case <-register.C:
			e.register()
		case <-wake:
		}
		e.poll()
	}
}

func (e *edge) register() {
	e.w.send(e.conn, e.w.relay.LocalAddr(), []byte{letterRegister, e.number})
}

func (e *edge) poll() {
	now := time.Now()
	out := e.path.Poll(now)
	for _, p := range out.Probes {
		b := append([]byte{letterPing}, p.Nonce[:]...)
		b = append(b, make([]byte, testPingLen-len(b)+p.Pad)...)
		if p.Socket > 0 {
			e.extra.send(p.Socket, transport.Datagram{Buf: b, N: len(b), Addr: p.To, TTL: p.TTL})
		} else if err := e.send(transport.Datagram{Buf: b, N: len(b), Addr: p.To, TTL: p.TTL}); err != nil {
			e.path.SendFailed(now, p.To)
		}
		e.probes++
	}
	e.extra.trim()
	if out.WantPunch {
		e.w.send(e.conn, e.w.relay.LocalAddr(), []byte{letterWant, e.number})
		if !e.w.silent.Load() {
			go e.w.call()
		}
	}
	for _, x := range out.Transitions {
		if x.From != e.state || x.Why == "" {
			e.w.t.Errorf("edge %d, state %v: %+v", e.number, e.state, x)
		}
		e.state = x.To
	}
	if s := e.path.Route().State; s != e.state {
		e.w.t.Errorf("edge %d: the transitions end in %v, the state is %v", e.number, e.state, s)
	}
	if out.Changed {
		e.history = append(e.history, step{now, e.path.Route()})
	}
	if d := e.path.Deadline(); !d.IsZero() && !d.After(now) {
		e.spins++
	}
}

func (e *edge) handle(d transport.Datagram) {
	now, b := time.Now(), d.Payload()
	direct := d.Addr != e.w.relay.LocalAddr()
	if direct {
		e.path.Received(now, d.Addr)
	}
	switch b[0] {
	case letterPunch:
		e.path.Punch(now, netip.MustParseAddrPort(string(b[2:])), punchDelay)
	case letterPing:
		answer := append([]byte{letterPong}, b[1:9]...)
		address, _ := d.Addr.MarshalBinary()
		answer = append(answer, byte(len(address)))
		answer = append(answer, address...)
		answer = append(answer, make([]byte, max(0, len(b)-len(answer)))...)
		e.send(transport.Datagram{Buf: answer, N: len(answer), Addr: d.Addr})
		if direct {
			Asked(e.path, now, d.Addr)
		}
	case letterPong:
		var seen netip.AddrPort
		seen.UnmarshalBinary(b[10 : 10+b[9]])
		e.path.Pong(now, [8]byte(b[1:9]), d.Addr, seen)
	case letterFrame:
		e.frames[binary.BigEndian.Uint32(b[2:])]++
		e.path.Used(now)
	}
}

// do runs f on the edge's loop.
func (e *edge) do(f func()) {
	done := make(chan struct{})
	e.calls <- func() { f(); close(done) }
	<-done
}

func (e *edge) route() (r Route) {
	e.do(func() { r = e.path.Route() })
	return r
}

// frame sends one numbered frame as the route says.
func (e *edge) frame(number uint32) {
	e.do(func() {
		e.path.Used(time.Now())
		r := e.path.Route()
		b := binary.BigEndian.AppendUint32([]byte{letterFrame, e.number}, number)
		if r.Direct.IsValid() {
			e.send(transport.Datagram{Buf: b, N: len(b), Addr: r.Direct})
		}
		if r.Relay {
			e.w.send(e.conn, e.w.relay.LocalAddr(), b)
		}
	})
}

// talk lets both edges send a frame every 20 ms for d.
func (w *world) talk(first uint32, d time.Duration) (next uint32) {
	for end := time.Now().Add(d); time.Now().Before(end); first++ {
		w.edges[0].frame(first)
		w.edges[1].frame(first)
		time.Sleep(20 * time.Millisecond)
	}
	return first
}

// exchange gives each edge the other's candidates: the addresses of its
// interfaces and what the supernode saw.
func (w *world) exchange(gen uint32) {
	for i, e := range w.edges {
		other := w.edges[1-i]
		list := address.Gather(address.Sources{
			Host: []netip.Addr{other.conn.LocalAddr().Addr()}, Port: other.conn.LocalAddr().Port(),
			Reflexive: w.reflexive(byte(1 - i)),
		}, other.policy)
		e.do(func() { e.path.SetCandidates(time.Now(), gen, list) })
	}
}

// reflexive returns what servers saw as an edge's address: where every destination
// sees another port, that of four servers.
func (w *world) reflexive(number byte) []netip.AddrPort {
	a := w.address(number)
	list := []netip.AddrPort{a}
	if w.mapping[number] == address.MappingAddressAndPortDependent {
		for i := range uint16(3) {
			list = append(list, netip.AddrPortFrom(a.Addr(), 2000+i))
		}
	}
	return list
}

// first returns when the edge was first in a state after a time.
func (e *edge) first(s State, after time.Time) (took time.Duration, ok bool) {
	e.do(func() {
		for _, h := range e.history {
			if h.route.State == s && !h.at.Before(after) {
				took, ok = h.at.Sub(after), true
				return
			}
		}
	})
	return took, ok
}

func (e *edge) deadline() (d time.Time) {
	e.do(func() { d = e.path.Deadline() })
	return d
}

// sent returns how many probes the edge has sent.
func (e *edge) sent() (n int) {
	e.do(func() { n = e.probes })
	return n
}

// address returns where the supernode saw an edge last.
func (w *world) address(number byte) netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[number]
}
