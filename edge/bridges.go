package edge

import (
	"time"

	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// keepEvery is how often a bridge looks for sessions that should be there. Their bound
// is that of the book: a supernode may say of everybody that he is a bridge.
const keepEvery = 10 * time.Second

// keeps reports whether a session with a peer that announced some features is kept
// while nothing passes. Bridges keep one with each other: what hosts behind them send is
// believed in a session alone, and they begin at any time.
func (s *self) keeps(features uint32) bool {
	return s.features&features&protocol.FeatureBridge != 0
}

// missing reports whether the session with a peer is to be kept, and none is made.
func (p *peer) missing() bool { return p.place.kept && p.sessions.idle() }

// bridges is the owner of which sessions are made although nothing passes.
type bridges struct {
	peers    *peers
	sessions interface{ initiate(p *peer) }
	timers   timer.Queue
	next     timer.Timer
}

// open sets the timer of a bridge.
func (b *bridges) open(s *self) {
	b.next = timer.New(&b.timers, "keep sessions with bridges", b.keep)
	if s.keeps(protocol.FeatureBridge) {
		b.next.Set(b.peers.plane.Started().Add(keepEvery))
	}
}

func (b *bridges) deadline() time.Time { return b.timers.Next() }
func (b *bridges) tick(now time.Time)  { b.timers.Run(now) }

// keep makes the sessions that are to be kept and have gone, or whose handshake failed.
func (b *bridges) keep(now time.Time) {
	b.next.Set(now.Add(keepEvery))
	for _, p := range b.peers.byStatic {
		if p.missing() {
			b.sessions.initiate(p)
		}
	}
}
