package supernode

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

const (
	// admittedMost is how many INITs of registered edges wait to be opened, and how many of
	// strangers: as many as may come at once (effortKept).
	admittedMost = 2048
	// admittedTime is for how long an INIT is of use while it waits: an edge repeats its own
	// every 2 to 3 s, and takes the answer to each of the last two (PROTOCOL.md, section 4).
	admittedTime = 4 * time.Second
)

// answerer opens the INITs that may be opened, and makes the sessions, on a goroutine of
// its own. A handshake takes as long as a hundred other datagrams do, so whoever reads the
// socket would keep the packets of registered edges waiting until there is no room for
// them. INITs of registered edges go first.
//
// An INIT that shows a cookie has the place of the one that the same address sent before it,
// if that still waits: its edge waits for the answer to the newer one.
type answerer struct {
	*queues[netip.AddrPort, admitted]
	sessions *sessions
	tables   *sync.Mutex // held for them only, never for a multiplication
	refused  *refusals
}

// admitted is an INIT that may be opened.
type admitted struct {
	init            [protocol.InitLen]byte // unmasked
	ends                                   // where it came from, and what it was sent to
	source, counted netip.Addr             // by which its sender is counted, and as which guest
	most            int                    // bytes that its answer may have if it is made longer; 0: it is not
}

func newAnswerer(sessions *sessions, tables *sync.Mutex, refused *refusals) *answerer {
	a := &answerer{
		queues: newQueues[netip.AddrPort, admitted](admittedMost), sessions: sessions, tables: tables, refused: refused,
	}
	a.patience = admittedTime
	a.late = func(in admitted) { refused.init(origin{addr: in.addr, source: in.source}, handshake.ErrFull) }
	return a
}

// crowded reports whether so many strangers wait that each has to show a cookie, by which it
// has one place and no other.
func (a *answerer) crowded() bool { return a.count(false) >= admittedMost/cookieShare }

// run answers until ctx ends.
func (a *answerer) run(ctx context.Context, sockets *sockets, now func() time.Time) {
	out := newOutbox()
	for in, ok := a.next(ctx, now); ok; in, ok = a.next(ctx, now) {
		if !sockets.gate.Enter() {
			return
		}
		a.answer(now(), out, &in)
		sockets.flush(out)
		sockets.gate.Leave()
	}
}

// answer makes a session with an edge: it answers its INIT with RESP or with a challenge.
// The session is in the table before RESP leaves.
func (a *answerer) answer(now time.Time, out *outbox, in *admitted) {
	resp, h, err := a.open(now, in)
	if err != nil {
		a.refused.init(origin{addr: in.addr, source: in.source}, err)
	} else {
		a.tables.Lock()
		a.sessions.add(h, in.counted)
		a.tables.Unlock()
	}
	if resp != nil {
		out.send(crypto.Lengthen(resp, in.most), in.ends) // it has cost too much to wait behind what costs little
	}
}

// open makes RESP, and the session unless RESP is a challenge.
func (a *answerer) open(now time.Time, in *admitted) (resp []byte, h *hop, err error) {
	opening, _, err := in.us.key.responder.Open(now, in.init[:])
	if err != nil {
		return nil, nil, err
	}
	resp, result, err := in.us.key.responder.Answer(now, opening, nil)
	if err != nil {
		return resp, nil, err
	}
	session, err := crypto.NewHopSession(result.SessionConfig(now))
	if err != nil {
		return nil, nil, err
	}
	return resp, &hop{
		session: session, static: result.Remote, visit: visit{hash: result.Keys.Hash},
		ends: in.ends, source: in.source, hopTimes: hopTimes{created: now, heard: now},
	}, nil
}
