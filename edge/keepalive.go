package edge

import (
	"net/netip"
	"time"

	"hedgerow/edge/control"
	"hedgerow/protocol"
)

// Times of the pings to a supernode.
const (
	hopKeepalive = 20 * time.Second       // where a stream carries them; the underlay knows how long a UDP mapping lives
	hopWatch     = time.Second            // while frames are being relayed: another supernode is used within 2 s
	hopPingRetry = 200 * time.Millisecond // or two round trips, if those are longer
	hopPingsLost = 4
)

// keepaliveIn returns the time between pings to a supernode, +-10 % so that edges do not
// fall into step.
func (r *registrar) keepaliveIn(now time.Time, s *supernode) time.Duration {
	if r.relaying(now) {
		return hopWatch
	}
	keep := r.underlay.Lifetime.Keepalive()
	if s.streaming() {
		keep = hopKeepalive
	}
	return keep - keep/10 + r.random.jitter(keep/5)
}

// relaying reports whether frames to or from an active peer are relayed.
func (r *registrar) relaying(now time.Time) bool {
	for _, p := range r.peers.byStatic {
		if to := p.view.Route(); !to.OnlyDirect() && r.peers.active(now, p) {
			return true
		}
	}
	return false
}

// watch pings a supernode soon: frames to a peer in use pass it.
func (r *registrar) watch(now time.Time, p *peer) {
	to := p.view.Route()
	if to.Supernode == nil || to.OnlyDirect() {
		return
	}
	if s := r.supernodes[to.Supernode.ID()]; s.hop.session != nil && s.keepalive.next.IsSet() {
		s.keepalive.next.NotAfter(now.Add(hopWatch))
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
	}
	if k.missed >= hopPingsLost {
		r.lost(now, s)
		return
	}
	if k.missed == 0 {
		r.random.fill(k.nonce[:]) // repeats keep it: the answer to any of them will do
		k.sent = now
	}
	k.next.Set(now.Add(max(hopPingRetry, 2*k.rtt)))
	m := protocol.Ping{Nonce: k.nonce, Pad: protocol.MinPingPad}
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
	k.answered(now)
	r.underlay.Addresses.Observed(now, s.hop.at, m.Seen)
	k.next.Set(now.Add(r.keepaliveIn(now, s)))
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
	r.peers.markAll()
	for _, p := range r.peers.byStatic {
		if r.peers.active(now, p) {
			r.directory.find(now, p)
		}
	}
	r.connector.giveUp(now, s)
}
