package edge

import (
	"net/netip"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/deadline"
	"hedgerow/protocol"
)

// Times of the pings to a supernode. One that relays is watched so closely that another
// one is used within a second (failover.go).
const (
	hopKeepalive = 20 * time.Second       // where a stream carries them; the underlay knows how long a UDP mapping lives
	hopWatch     = 400 * time.Millisecond // to a supernode that frames pass
	hopStandby   = 2 * time.Second        // to the others meanwhile
	hopPingRetry = 200 * time.Millisecond // or longer, by the round trip
	hopPingsLost = 4
)

// keepaliveAt returns when a supernode is pinged after a ping that was sent at a time: while
// nothing is relayed at the moments at which everything is done that can wait, a tenth
// later than usual at most.
func (r *registrar) keepaliveAt(now, sent time.Time, s *supernode) time.Time {
	switch by, relayed := r.relaying(now, s); {
	case by:
		return sent.Add(hopWatch)
	case relayed:
		return sent.Add(hopStandby)
	}
	keep := r.underlay.Lifetime.Keepalive()
	if s.streaming() {
		keep = hopKeepalive
	}
	return deadline.Shared(sent.Add(keep/10), keep, r.underlay.Addresses.Policy().Phase)
}

// relaying reports whether frames to or from an active peer are relayed by a supernode,
// and whether they are by any.
func (r *registrar) relaying(now time.Time, s *supernode) (by, relayed bool) {
	for _, p := range r.peers.byStatic {
		if to := p.view.Route(); !to.OnlyDirect() && r.peers.active(now, p) {
			if relayed = true; to.Supernode == s.view || to.Spare == s.view {
				return true, true
			}
		}
	}
	return false, relayed
}

// watch pings the supernode that frames to a peer in use pass soon, and at once if it was
// not pinged lately.
func (r *registrar) watch(now time.Time, p *peer) {
	if to := p.view.Route(); to.Supernode != nil && !to.OnlyDirect() && r.peers.active(now, p) {
		r.supernodes[to.Supernode.ID()].keepalive.hasten(now)
	}
}

// hasten has the next ping follow the last one that was answered by hopWatch, unless one
// waits for its answer.
func (k *keepalive) hasten(now time.Time) {
	if k.next.IsSet() && k.sent.IsZero() {
		k.next.NotAfter(now.Add(max(0, hopWatch-now.Sub(k.last))))
	}
}

// roamed pings every supernode at once: the answers tell our new address, and
// move the sessions there.
func (r *registrar) roamed(now time.Time) {
	for _, s := range r.supernodes {
		if s.hop.session != nil && s.keepalive.next.IsSet() {
			s.keepalive.next.Set(now)
		}
	}
}

// ping keeps a supernode's mapping open, and finds out when it is gone.
func (r *registrar) ping(now time.Time, s *supernode) {
	k := &s.keepalive
	if !k.sent.IsZero() {
		k.missed++
		r.doubt(now, s)
	}
	if k.missed >= hopPingsLost {
		r.lost(now, s)
		return
	}
	if k.missed == 0 {
		r.random.fill(k.nonce[:]) // repeats keep it: the answer to any of them will do
		k.sent = now
	}
	k.next.Set(now.Add(k.timeout(hopPingRetry)))
	m := protocol.Ping{Nonce: k.nonce, Pad: r.hops.out.PingPad()}
	r.hops.send(s, m.Append)
}

// pong answers a supernode's ping.
func (r *registrar) pong(s *supernode, m protocol.Ping, from netip.AddrPort) {
	answer := m.Pong(from)
	r.hops.send(s, answer.Append)
}

// handlePong notes a supernode's answer. It is not known which of several repeats
// was answered; the first is the safe guess, since it only makes the next ones more
// patient.
func (r *registrar) handlePong(now time.Time, s *supernode, m protocol.Pong) {
	k := &s.keepalive
	if !k.waits(m.Nonce) {
		r.refusals.note(refusedHopPong, s)
		return
	}
	k.last = k.sent
	k.answered(now)
	r.trust(s)
	r.underlay.Addresses.Observed(now, s.hop.at, m.Seen)
	k.next.Set(r.keepaliveAt(now, k.last, s))
}

// lost is called when a supernode no longer answers: frames go through another
// one if there is one, and we try to register anew.
func (r *registrar) lost(now time.Time, s *supernode) {
	s.grant.done = false
	s.keepalive.forget()
	s.keepalive.next.Stop()
	if !s.reported.lost && !(s.kin.second != nil && s.kin.second.registered()) { // which takes its place
		s.reported.lost = true
		r.reports.report(now, control.Event{Kind: control.EventSupernodeLost, Supernode: s.cfg.Name, Addr: s.shownAddr()})
	}
	s.keepalive.late = false
	r.peers.markAll()
	for _, p := range r.peers.byStatic {
		r.leave(p, s)
		if r.peers.active(now, p) {
			r.directory.find(now, p)
		}
	}
	r.connector.giveUp(now, s)
}
