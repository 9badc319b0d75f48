package swarm

import (
	"container/heap"
	"encoding/binary"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

// The waits of the real edge (edge/registrar.go, edge/keepalive.go, package handshake).
const (
	sessionTime = 900 * time.Second
	pingEvery   = 20 * time.Second
	pingAgain   = 200 * time.Millisecond
	pingMost    = 4
	nakLeast    = 5 * time.Second
)

var (
	initWaits     = []time.Duration{time.Second, 2 * time.Second, 2500 * time.Millisecond}
	registerWaits = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
)

// phase is how far an edge has come.
type phase uint8

const (
	away phase = iota
	connecting
	registering
	registered
)

// membership is a community, and its id, which takes time to compute.
type membership struct {
	*crypto.Community
	id [16]byte
}

// edge is as much of an edge as a supernode sees. It is its worker's.
type edge struct {
	guest     *adversary.Guest
	worker    *worker
	number    int
	community *membership
	source    []byte // the control message by which its packets leave from its address
	statement []byte
	phase     phase
	attempts  int // of what the phase does; of pings that have no answer yet
	asked     *protocol.Register
	granted   granted
	made      time.Time // the session
	ping      uint64    // the nonce of the last ping
	came      func(at time.Time)
	due       time.Time // when something is to be done
	place     int       // in worker.due; -1: not in it
}

// granted is what the last ACK of a new session brought.
type granted struct {
	at     time.Time
	handle uint32
	token  [16]byte // of the RESET that may end the session
}

// come makes a session and registers, and says when that is done.
func (e *edge) come(now time.Time, done func(at time.Time)) {
	e.came = done
	e.connect(now)
}

// wait notes when something is to be done next.
func (e *edge) wait(now time.Time, d time.Duration) {
	e.due = now.Add(d)
	if e.place >= 0 {
		heap.Fix(&e.worker.due, e.place)
	} else {
		heap.Push(&e.worker.due, e)
	}
}

// next does what is due.
func (e *edge) next(now time.Time) {
	switch {
	case e.phase == connecting:
		e.initiate(now)
	case e.phase == registering && now.Sub(e.made) > pingEvery+pingMost*pingAgain:
		e.worker.swarm.Counts.Abandoned.Add(1) // the pings of such a session have no answer either
		e.connect(now)
	case e.phase == registering:
		e.register(now)
	case e.phase != registered:
	case e.attempts == pingMost:
		e.worker.swarm.Counts.Abandoned.Add(1)
		e.connect(now)
	case e.attempts == 0 && now.Sub(e.made) > sessionTime:
		e.connect(now)
	default:
		e.sendPing(now)
	}
}

func (e *edge) connect(now time.Time) {
	e.phase, e.attempts = connecting, 0
	e.initiate(now)
}

func (e *edge) initiate(now time.Time) {
	e.wait(now, initWaits[min(e.attempts, len(initWaits)-1)])
	e.attempts++
	e.worker.swarm.Counts.Inits.Add(1)
	pkt, err := e.guest.Initiate()
	e.worker.send(e, pkt, err)
}

func (e *edge) register(now time.Time) {
	e.wait(now, registerWaits[min(e.attempts, len(registerWaits)-1)])
	e.attempts++
	e.worker.swarm.Counts.Registers.Add(1)
	pkt, err := e.guest.Say(e.asked.Append)
	e.worker.send(e, pkt, err)
}

func (e *edge) sendPing(now time.Time) {
	e.wait(now, pingAgain)
	if e.attempts++; e.attempts == 1 {
		e.ping++
	}
	m := protocol.Ping{Pad: protocol.MinPingPad}
	binary.BigEndian.PutUint64(m.Nonce[:], e.ping)
	pkt, err := e.guest.Say(m.Append)
	e.worker.send(e, pkt, err)
}

// handle takes a packet of the supernode.
func (e *edge) handle(a *arrival) {
	got, err := e.guest.Handle(a.pkt)
	if err != nil {
		return
	}
	if got.Reply != nil {
		e.worker.send(e, got.Reply, nil)
	}
	switch {
	case got.Began:
		e.began(a.at)
	case got.Header.Type == protocol.TypeReset:
		e.reset(a)
	case got.Packet != nil && e.worker.flow != nil:
		e.worker.flow.arrived(e, a.at, got.Packet)
	case got.Inner != nil:
		adversary.Messages(got.Inner, func(typ protocol.MsgType, value []byte) { e.handleMessage(a.at, typ, value) })
	}
}

// began registers over a new session.
func (e *edge) began(now time.Time) {
	mac := protocol.MAC(e.guest.Identity.MAC(e.community.id))
	if e.statement == nil {
		e.statement = e.guest.Identity.SignStatement(crypto.Statement{CID: e.community.id, MAC: mac, Seq: 1, Expiry: 1 << 40})
	}
	e.asked = e.guest.Claim(e.community.Community, mac, e.statement)
	e.phase, e.attempts, e.made = registering, 0, now
	e.register(now)
}

// reset obeys a RESET of the session, once.
func (e *edge) reset(a *arrival) {
	index, token, err := protocol.ParseReset(a.pkt)
	if err != nil || e.phase != registered || index != e.guest.Session.RemoteIndex() || token != e.granted.token {
		return
	}
	e.worker.swarm.Counts.Resets.Add(1)
	e.phase, e.attempts = connecting, 0
	e.wait(a.at, 0) // behind what others are answered: they share this goroutine
}

func (e *edge) handleMessage(now time.Time, typ protocol.MsgType, value []byte) {
	switch typ {
	case protocol.MsgAck:
		if m, err := protocol.ParseAck(value); err == nil && e.phase == registering {
			e.acknowledged(now, m)
		}
	case protocol.MsgNak:
		if m, err := protocol.ParseNak(value); err == nil && e.phase == registering {
			e.worker.swarm.Counts.Naks.Add(1)
			e.wait(now, max(time.Duration(m.Retry)*time.Second, nakLeast))
		}
	case protocol.MsgPong:
		m, err := protocol.ParsePong(value)
		if err == nil && e.phase == registered && binary.BigEndian.Uint64(m.Nonce[:]) == e.ping {
			e.attempts = 0
			e.wait(now, pingEvery)
		}
	case protocol.MsgPing:
		if m, err := protocol.ParsePing(value); err == nil {
			answer := m.Pong(e.worker.swarm.cfg.Supernode)
			pkt, err := e.guest.Say(answer.Append)
			e.worker.send(e, pkt, err)
		}
	}
}

// acknowledged notes that the edge is registered.
func (e *edge) acknowledged(now time.Time, m protocol.Ack) {
	e.phase, e.attempts, e.asked = registered, 0, nil
	e.granted = granted{now, m.Handle, m.ResetToken}
	e.worker.swarm.Counts.Registered.Add(1)
	// Pings of edges that came at once do not stay together.
	e.wait(now, pingEvery*time.Duration(50+e.number%51)/100)
	if e.came != nil {
		e.came(now)
		e.came = nil
	}
}
