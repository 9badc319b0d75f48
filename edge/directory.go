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
	// askEvery is the wait for a statement before it is asked for once more,
	// doubling up to askRarely.
	askEvery  = time.Second
	askRarely = 32 * time.Second

	// Statements of one supernode that are verified: each costs a signature.
	tellRate  = 200 // a second
	tellBurst = 1000

	// Bounds of the hardware addresses that are being asked for.
	wantedMax   = 256
	wantedAgain = 2 * time.Second
	wantedFor   = 10 * time.Second

	// seekEvery is how often it is asked for a second supernode that knows a peer to which
	// frames are relayed.
	seekEvery = 5 * time.Second
)

// directory is the owner of what supernodes are asked and tell about other
// members.
type directory struct {
	supernodes supernodes
	hops       hopSender
	pairs      pairSender
	peers      *peers
	sessions   sessionMaker
	self       *self
	guard      leaseBook
	refusals   *refusals
	queries    bucket.Limiter
	told       [maxSupernodes]bucket.Bucket // statements that are verified, by supernode
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

// leaseBook is what the directory tells of leases.
type leaseBook interface {
	leased(p *peer, s *supernode, lease netip.Prefix)
	described(p *peer, features uint32)
}

func (d *directory) deadline() time.Time { return d.timers.Next() }
func (d *directory) tick(now time.Time)  { d.timers.Run(now) }

// prepare makes the timer of a peer that was just met.
func (d *directory) prepare(p *peer) {
	p.asking = d.peers.timer(&d.timers, "ask for a statement", p, d.askStatement)
}

// settle asks for the statement of a peer with a session until the peer has said who it
// is. It does so by itself at the start of the session; meanwhile a supernode may know,
// since nothing of the peer is delivered before there is at least a hint.
func (d *directory) settle(now time.Time, p *peer) {
	switch {
	case p.identity.proven || p.sessions.current == nil:
		p.asking.Stop()
		p.sessions.asked = 0
	case !p.asking.IsSet():
		d.askSupernodes(now, p)
		p.asking.Set(now.Add(askEvery))
	}
}

// askStatement asks a peer for its statement once more.
func (d *directory) askStatement(now time.Time, p *peer) {
	if p.identity.proven || p.sessions.current == nil {
		return
	}
	p.sessions.asked = min(p.sessions.asked+1, 5)
	p.asking.Set(now.Add(min(askEvery<<p.sessions.asked, askRarely)))
	d.pairs.send(p, (&protocol.Statement{}).Append)
	d.askSupernodes(now, p)
}

// askSupernodes asks the supernodes that know a peer for its statement, or all of them
// if none is known to, unless there is a hint already.
func (d *directory) askSupernodes(now time.Time, p *peer) {
	if p.known() {
		return
	}
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

// askRelay asks the supernode that relays to a peer which does not answer by it whether it
// hears the peer.
func (d *directory) askRelay(now time.Time, p *peer) {
	if to := p.view.Route(); to.Supernode != nil {
		d.ask(now, d.supernodes[to.Supernode.ID()], protocol.Query{Handle: to.Handle})
	}
}

// unheard notes for how many seconds the supernode that relays to a peer has not heard it.
func (d *directory) unheard(now time.Time, p *peer, s *supernode, silent uint32) {
	if p.view.Route().Supernode != s.view {
		return
	}
	p.reach.relay.unheard = time.Time{}
	if silent > 0 {
		p.reach.relay.unheard = now.Add(-time.Duration(silent) * time.Second)
	}
}

// find asks the supernodes that answer about a peer that only others know to be
// theirs: it may have come to them after we asked last. If one relays to the peer already
// a second one is to be ready, and is asked now and then.
func (d *directory) find(now time.Time, p *peer) {
	if d.supernodes.relays(p) {
		if to := p.view.Route(); to.OnlyDirect() || now.Sub(p.reach.relay.sought) < seekEvery {
			return
		}
		p.reach.relay.sought = now
	}
	for _, s := range d.supernodes {
		if s.registered() && p.handles[s.id()] == 0 {
			d.ask(now, s, protocol.Query{MAC: p.view.MAC()})
		}
	}
}

// handlePeerInfo learns of another edge. The statement is signed by the identity in it,
// which may be anybody's: it is a hint of whom to greet, and what it says of a peer that
// has proved who it is counts only from that very identity.
func (d *directory) handlePeerInfo(now time.Time, s *supernode, m protocol.PeerInfo) {
	p, news := d.hint(now, s, m)
	if p == nil || news == newsRefused {
		return
	}
	p.seen = now
	if p.view.Features() == 0 { // the peer itself has said nothing yet
		d.self.announced(p, m.Features)
	}
	d.peers.setHandle(p, s.id(), m.Handle)
	d.unheard(now, p, s, m.Silent)
	d.guard.leased(p, s, m.Prefix)
	d.guard.described(p, m.Features)
	if m.Prefix.IsValid() && len(p.about.Prefixes) == 0 {
		p.about.Prefixes = []netip.Prefix{m.Prefix}
	}
	switch {
	case p.recalled && p.sessions.none():
		// We knew it before our restart, and now a supernode knows it, too.
		d.sessions.endHandshake(p)
		d.sessions.initiate(p)
	case news == newsRestarted && !p.sessions.idle():
		// The process that had the other end of our session, or was to answer
		// our INIT, is gone.
		d.sessions.restart(now, p)
	case news == newsDisputed && p.sessions.none(), d.wanted.remove(m.MAC), d.sessions.withheld(p), p.missing():
		d.sessions.initiate(p)
	}
	p.recalled = false
}

// hint returns the peer that a supernode tells of, and what is new about it; nil if
// there is none.
func (d *directory) hint(now time.Time, s *supernode, m protocol.PeerInfo) (*peer, news) {
	if p := d.peers.stated(m.Statement); p != nil && p.view.MAC() == m.MAC {
		return p, d.peers.told(now, p, p.identity.statement, m.Statement)
	}
	if !d.told[s.id()].Take(now, 1, tellRate, tellBurst) {
		d.refusals.note(refusedStatementRate, s, "mac", m.MAC)
		return nil, newsNone
	}
	st, err := crypto.VerifyStatement(m.Statement)
	if err != nil || protocol.MAC(st.MAC) != m.MAC {
		d.refusals.note(refusedStatement, s, "mac", m.MAC, "err", err)
		return nil, newsNone
	}
	if !d.self.other(st) {
		if d.self.isTwins(st) {
			d.self.twin.notice(now, s.cfg.Name)
		}
		if st.CID != d.self.cid {
			d.refusals.note(refusedCommunity, s, "mac", m.MAC)
		}
		return nil, newsNone
	}
	p := d.peers.meet(now, st.Static)
	if p == nil {
		d.refusals.note(refusedBookFull, s, "mac", m.MAC)
		return nil, newsNone
	}
	d.self.isolation.hinted(p, st.ID)
	return p, d.peers.told(now, p, st, m.Statement)
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
