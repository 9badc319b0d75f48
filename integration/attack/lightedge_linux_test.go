package attack

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

// A lightEdge is as much of an edge as a supernode sees: it asks for the key, makes a
// session, registers, and pings. Waits and repeats are those of the real one.
type lightEdge struct {
	*adversary.Guest
	number    uint32
	line      *line
	from      source
	community *crypto.Community
	in        chan []byte

	welcomed, registered bool
	sessions             int
	resets, relayed      int
	ownHandle            uint32
	nonce                [8]byte       // of the last ping that was answered
	rtt                  time.Duration // smoothed
}

// identityOf returns an identity that depends on its arguments only.
func identityOf(kind string, number uint32) *crypto.Identity {
	return crypto.NewIdentity(sha256.Sum256(fmt.Append(nil, kind, number)))
}

// edge adds an edge to a line. Numbers are unique on the line.
func (l *line) edge(number uint32, id *crypto.Identity, supernode [32]byte, c *crypto.Community, from source) *lightEdge {
	e := &lightEdge{
		number: number, line: l, from: from, community: c, in: make(chan []byte, 16),
		Guest: adversary.NewGuest(adversary.Surroundings{Now: time.Now}, id, supernode, number<<numberBits),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.edges[number] = e
	return e
}

// forget takes an edge that never speaks again off its line.
func (e *lightEdge) forget() {
	e.line.mu.Lock()
	defer e.line.mu.Unlock()
	delete(e.line.edges, e.number)
}

// hear queues a packet; an empty one is a WELCOME.
func (e *lightEdge) hear(pkt []byte) {
	select {
	case e.in <- pkt:
	default:
	}
}

// say sends a packet, unless it could not be made.
func (e *lightEdge) say(pkt []byte, err error) {
	if err == nil {
		e.line.write(e.from, pkt)
	}
}

// handle takes a packet and answers it as an edge does.
func (e *lightEdge) handle(pkt []byte) {
	if len(pkt) == 0 {
		e.welcomed = true
		return
	}
	got, err := e.Handle(pkt)
	if err != nil {
		return
	}
	if got.Header.Type == protocol.TypeReset {
		e.resets++
	}
	if got.Reply != nil {
		e.say(got.Reply, nil)
	}
	if got.Began {
		e.sessions++
	}
	if got.Packet != nil {
		e.relayed++
	}
	adversary.Messages(got.Inner, func(typ protocol.MsgType, value []byte) {
		switch typ {
		case protocol.MsgAck:
			if m, err := protocol.ParseAck(value); err == nil {
				e.registered, e.ownHandle = true, m.Handle
			}
		case protocol.MsgPong:
			if m, err := protocol.ParsePong(value); err == nil {
				e.nonce = m.Nonce
			}
		case protocol.MsgPing:
			if m, err := protocol.ParsePing(value); err == nil {
				answer := m.Pong(e.line.to)
				e.say(e.Say(answer.Append))
			}
		}
	})
}

// ask asks until it is done, after each of these waits again and then as after the last,
// and reports whether it was done before ctx ended or there were so many questions.
func (e *lightEdge) ask(ctx context.Context, most int, question func(), done func() bool, waits ...time.Duration) bool {
	for i := 0; i < most; i++ {
		question()
		wait := time.NewTimer(waits[min(i, len(waits)-1)])
		for waiting := true; waiting && !done(); {
			select {
			case pkt := <-e.in:
				e.handle(pkt)
			case <-wait.C:
				waiting = false
				for len(e.in) > 0 { // it came in time, and a busy machine is late
					e.handle(<-e.in)
				}
			case <-ctx.Done():
				return false
			}
		}
		if wait.Stop(); done() {
			return true
		}
	}
	return false
}

// greet asks for the supernode's key.
func (e *lightEdge) greet(ctx context.Context, scratch *crypto.Scratch) bool {
	return e.ask(ctx, 100, func() {
		var nonce [16]byte
		binary.BigEndian.PutUint32(nonce[:], e.number)
		pkt := protocol.AppendHello(nil, nonce)
		e.line.hello.Hide(scratch, pkt)
		e.say(pkt, nil)
	}, func() bool { return e.welcomed }, time.Second, 2*time.Second, 4*time.Second)
}

// connect makes a session, the first or the next one.
func (e *lightEdge) connect(ctx context.Context) bool {
	before := e.sessions
	return e.ask(ctx, 100, func() { e.say(e.Initiate()) }, func() bool { return e.sessions > before }, time.Second, 2*time.Second, 2500*time.Millisecond)
}

// register registers over the session.
func (e *lightEdge) register(ctx context.Context) bool {
	e.registered = false
	m := e.Register(e.community)
	return e.ask(ctx, 100, func() { e.say(e.Say(m.Append)) }, func() bool { return e.registered }, time.Second/2, time.Second, 2*time.Second)
}

// ping reports whether the supernode answers within the four questions that an edge asks
// before it gives a session up.
func (e *lightEdge) ping(ctx context.Context) bool {
	var nonce [8]byte
	binary.BigEndian.PutUint64(nonce[:], binary.BigEndian.Uint64(e.nonce[:])+1)
	m, began := protocol.Ping{Nonce: nonce, Pad: protocol.MinPingPad}, time.Now()
	wait := max(200*time.Millisecond, 2*e.rtt)
	answered := e.ask(ctx, 4, func() { e.say(e.Say(m.Append)) }, func() bool { return e.nonce == nonce }, wait)
	e.rtt += (time.Since(began) - e.rtt) / 8
	return answered
}

// idle hears what comes for a time, and reports whether ctx goes on.
func (e *lightEdge) idle(ctx context.Context, d time.Duration) bool {
	return !e.ask(ctx, 1, func() {}, func() bool { return false }, d) && ctx.Err() == nil
}

// together calls f for each edge, a few at a time, and waits.
func together(edges []*lightEdge, f func(e *lightEdge)) {
	const atOnce = 32
	var all sync.WaitGroup
	next := make(chan *lightEdge)
	for range atOnce {
		all.Go(func() {
			for e := range next {
				f(e)
			}
		})
	}
	for _, e := range edges {
		next <- e
	}
	close(next)
	all.Wait()
}
