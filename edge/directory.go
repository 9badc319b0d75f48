package edge

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// What is asked of supernodes.
const (
	queryRate  = 100 // QUERYs a second
	queryBurst = 200
	// askEvery is the wait for a statement before it is asked for once more.
	askEvery = time.Second

	// Bounds of the hardware addresses that are being asked for.
	wantedMax   = 256
	wantedAgain = 2 * time.Second
	wantedFor   = 10 * time.Second
)

// directory is the owner of what supernodes are asked and tell about other
// members.
type directory struct {
	supernodes supernodes
	hops       hopSender
	peers      *peers
	sessions   sessionMaker
	self       *self
	refusals   *refusals
	queries    bucket.Limiter
	wanted     wantedMACs
	timers     timer.Queue
}

// sessionMaker is what the directory needs of the sessions.
type sessionMaker interface {
	initiate(p *peer)
	restart(now time.Time, p *peer)
	endHandshake(p *peer)
	withheld(p *peer) bool
}

func (d *directory) deadline() time.Time { return d.timers.Next() }
func (d *directory) tick(now time.Time)  { d.timers.Run(now) }

// prepare makes the timer of a peer that was just met.
func (d *directory) prepare(p *peer) {
	p.asking = d.peers.timer(&d.timers, "ask for a statement", p, d.askStatement)
}

// settle asks for the statement of a peer with a session, without which nothing of
// the peer is delivered. It asks until the statement has come.
func (d *directory) settle(now time.Time, p *peer) {
	switch {
	case p.known() || p.sessions.none():
		p.asking.Stop()
	case !p.asking.IsSet():
		d.askStatement(now, p)
	}
}

// askStatement asks the supernodes that know a peer for its statement, or all of
// them if none is known to.
func (d *directory) askStatement(now time.Time, p *peer) {
	if p.known() || p.sessions.none() {
		return
	}
	p.asking.Set(now.Add(askEvery))
	asked := false
	for _, s := range d.supernodes {
		if h := p.handles[s.id()]; h != 0 {
			d.ask(now, s, protocol.Query{Handle: h})
			asked = true
		}
	}
	if asked || p.sessions.claimed.IsZero() {
		return
	}
	for _, s := range d.supernodes {
		d.ask(now, s, protocol.Query{MAC: p.sessions.claimed})
	}
}

// ask asks a supernode about one member, or about the latest.
func (d *directory) ask(now time.Time, s *supernode, q protocol.Query) {
	if !s.registered() {
		return
	}
	if !d.queries.Take(now) {
		d.refusals.note(refusedQueryRate, s)
		return
	}
	d.hops.send(s, q.Append)
}

// askSender asks the supernode through which a packet came who has sent it.
func (d *directory) askSender(now time.Time, from dataplane.Origin) {
	if from.Supernode != nil {
		d.ask(now, d.supernodes[from.Supernode.ID()], protocol.Query{Handle: from.Handle})
	}
}

// askMAC asks every supernode who has a hardware address.
func (d *directory) askMAC(now time.Time, mac protocol.MAC) {
	if !d.wanted.add(now, mac) {
		return
	}
	for _, s := range d.supernodes {
		d.ask(now, s, protocol.Query{MAC: mac})
	}
}

// find asks the supernodes that answer about a peer that only others know to be
// theirs: it may have come to them after we asked last.
func (d *directory) find(now time.Time, p *peer) {
	if d.supernodes.relays(p) {
		return
	}
	for _, s := range d.supernodes {
		if s.registered() && p.handles[s.id()] == 0 {
			d.ask(now, s, protocol.Query{MAC: p.view.MAC()})
		}
	}
}

// handlePeerInfo learns of another edge. The statement is the edge's own, so
// a supernode cannot invent one.
func (d *directory) handlePeerInfo(now time.Time, s *supernode, m protocol.PeerInfo) {
	st, err := crypto.VerifyStatement(m.Statement)
	if err != nil || protocol.MAC(st.MAC) != m.MAC {
		d.refusals.note(refusedStatement, s, "mac", m.MAC, "err", err)
		return
	}
	if !d.self.other(st) {
		if st.CID != d.self.cid {
			d.refusals.note(refusedCommunity, s, "mac", m.MAC)
		}
		return
	}
	p := d.peers.meet(now, st.Static)
	if p == nil {
		d.refusals.note(refusedBookFull, s, "mac", m.MAC)
		return
	}
	p.seen = now
	restarted := d.peers.learnStatement(p, st, m.Statement, m.Features)
	d.peers.setHandle(p, s.id(), m.Handle)
	if m.Prefix.IsValid() && len(p.about.Prefixes) == 0 {
		p.about.Prefixes = []netip.Prefix{m.Prefix}
	}
	switch {
	case p.recalled && p.sessions.none():
		// We knew it before our restart, and now a supernode knows it, too.
		d.sessions.endHandshake(p)
		d.sessions.initiate(p)
	case restarted && !p.sessions.idle():
		// The process that had the other end of our session, or was to answer
		// our INIT, is gone.
		d.sessions.restart(now, p)
	case d.wanted.remove(m.MAC), d.sessions.withheld(p):
		d.sessions.initiate(p)
	}
	p.recalled = false
}

// wantedMACs are hardware addresses that frames were sent to and that nobody
// is known to have, with the time at which they were last asked for.
type wantedMACs map[protocol.MAC]time.Time

// add notes an address. It reports whether it is time to ask for it.
func (w wantedMACs) add(now time.Time, mac protocol.MAC) bool {
	asked, ok := w[mac]
	if ok && now.Sub(asked) < wantedAgain {
		return false
	}
	if !ok && len(w) >= wantedMax {
		for m, asked := range w {
			if now.Sub(asked) > wantedFor {
				delete(w, m)
			}
		}
		if len(w) >= wantedMax {
			return false
		}
	}
	w[mac] = now
	return true
}

// remove forgets an address. It reports whether it was wanted.
func (w wantedMACs) remove(mac protocol.MAC) bool {
	_, ok := w[mac]
	delete(w, mac)
	return ok
}
