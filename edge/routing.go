package edge

import (
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/deadline"
	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/nat/path"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// routing is the owner of how peers are reached: it drives the path machine of
// each peer with a session, measures the relayed path, and decides by which of
// the two frames go.
type routing struct {
	peers       *peers
	pairs       pairSender
	supernodes  supernodes
	underlay    *underlay.Underlay
	keys        *keyring
	introducers *introducers
	punching    *punching
	refusals    *refusals
	plane       *dataplane.Plane
	needsSource func(to, local netip.Addr) bool // Own.NeedsSource
	log         *slog.Logger
	random      *random
	timers      timer.Queue

	directChanged bool // the DIRECT sets have to be computed anew
	group         groupSize
}

// groupSize is the size of the largest GROUP packet that reaches everybody.
type groupSize struct {
	changed bool // it has to be computed anew
	packet  int  // its bytes, as the queues know it; 0 before the first change
}

// wishes are what the settling of a peer's reachability asks of the owner of its
// session.
type wishes struct {
	introduction bool // there is a new next hop, and what was said before may have found none
	session      bool // the one there is seems to be one-sided
}

// prepare makes the timers of a peer that was just met.
func (r *routing) prepare(p *peer) {
	p.reach.polling = r.peers.timer(&r.timers, "poll a path", p, func(time.Time, *peer) {}) // settling polls
	p.reach.relay.timer = r.peers.timer(&r.timers, "ping by relay", p, r.pingRelay)
	p.reach.turn.timer = r.peers.timer(&r.timers, "need a TURN server", p, func(time.Time, *peer) {})
}

func (r *routing) deadline() time.Time { return r.timers.Next() }
func (r *routing) tick(now time.Time)  { r.timers.Run(now) }

// start gives a peer with a new session the machine that looks for a direct path.
func (r *routing) start(now time.Time, p *peer) {
	if p.reach.path == nil {
		p.reach.path = path.New(r.underlay.Addresses.Policy(), r.underlay.Addresses.Budget(), r.random.generator)
	}
	r.startRelayProbe(now, p)
	r.tryLAN(now, p)
	r.peers.mark(p)
}

// stop ends the search for a path to a peer whose last session has gone.
func (r *routing) stop(p *peer) {
	p.reach.path, p.reach.quality = nil, quality{}
	p.reach.polling.Stop()
	p.reach.relay.timer.Stop()
	p.reach.turn.stop()
	r.trimSockets(p)
	r.peers.mark(p)
}

// heard notes the address that a peer's packet came from, and the one of ours that it was
// sent to.
func (r *routing) heard(now time.Time, p *peer, by dataplane.Origin) {
	from := by.Addr
	switch _, byTURN := r.underlay.TURN.ByTURN(from); {
	case r.introducers.holds(from):
		p.reach.introducer = from
	case p.reach.path == nil:
	case byTURN:
		p.reach.path.ReceivedByTURN(now, from)
	default:
		p.reach.path.Received(now, from)
		r.noteAsked(p, by)
	}
	r.peers.mark(p)
}

// sourceTo returns the address of ours that packets to a peer at an address have to leave
// from. It is not valid where the system chooses the right one.
func (r *routing) sourceTo(p *peer, at netip.AddrPort) netip.Addr {
	if s := p.reach.asked[at]; s.needed {
		return s.local
	}
	return netip.Addr{}
}

// noteAsked notes to which address of ours a peer has sent an authentic packet.
func (r *routing) noteAsked(p *peer, from dataplane.Origin) {
	known := p.reach.path != nil && from.Local.IsValid() && !transport.IsSide(from.Addr.Addr())
	if r.needsSource == nil || !known || p.reach.asked[from.Addr].local == from.Local || !p.reach.path.Knows(from.Addr) {
		return
	}
	if p.reach.asked == nil || len(p.reach.asked) >= maxAsked {
		p.reach.asked = make(asked) // what is forgotten is noted again with the next packet
	}
	p.reach.asked[from.Addr] = source{local: from.Local, needed: r.needsSource(from.Addr.Addr(), from.Local)}
	r.peers.mark(p)
}

// mayReach reports whether a packet of so many bytes of UDP payload may go to an address
// at which a peer may be, and counts it if the peer has not proved that it is there: the
// address may be somebody's word, or the forged source of a packet.
func (r *routing) mayReach(now time.Time, p *peer, at netip.AddrPort, length int) bool {
	return r.reaches(p, at, func(policy *address.Policy, known address.Evidence) address.Refusal {
		if p.reach.path != nil && p.reach.path.Remotes().Proven(now, at) {
			return address.Allowed
		}
		return r.underlay.Addresses.Budget().Spend(now, policy.Target(at), length+ipHeaders, known)
	})
}

// mayGreet is mayReach for an INIT that is not made yet, and counts nothing.
func (r *routing) mayGreet(now time.Time, p *peer, at netip.AddrPort) bool {
	return r.reaches(p, at, func(policy *address.Policy, known address.Evidence) address.Refusal {
		return r.underlay.Addresses.Budget().Look(now, policy.Target(at), protocol.InitLen+ipHeaders, known)
	})
}

// reaches asks whether the budget lets something go to an address, unless the policy
// does not, or the address stands for a peer behind an introducer.
func (r *routing) reaches(p *peer, at netip.AddrPort, budget func(*address.Policy, address.Evidence) address.Refusal) bool {
	policy := r.underlay.Addresses.Policy()
	known := address.OnLAN(policy.Target(at))
	if p.recalled && at == p.sessions.init.to {
		known = address.Answered // in an earlier run
	}
	switch {
	case r.introducers.holds(at):
	case policy.ReplyRefusal(at) != address.Allowed:
		r.refusals.note(refusedInitAddress, p, "to", at)
		return false
	case budget(policy, known) != address.Allowed:
		r.refusals.note(refusedInitBudget, p, "to", at)
		return false
	}
	return true
}

// ipHeaders are the bytes of an IPv6 and a UDP header.
const ipHeaders = 40 + 8

// metOnLAN notes at which address of a LAN that both share a peer was met.
func (r *routing) metOnLAN(now time.Time, p *peer, at netip.AddrPort) {
	p.reach.lan = at
	r.tryLAN(now, p)
	r.peers.mark(p)
}

// tryLAN has a path try the address at which its peer was met. Without a
// supernode the path is brought up though there is no traffic yet: only a direct
// path carries the broadcasts that come before any.
func (r *routing) tryLAN(now time.Time, p *peer) {
	if p.reach.path == nil || !p.reach.lan.IsValid() {
		return
	}
	if !r.supernodes.relays(p) {
		p.reach.path.Used(now)
	}
	p.reach.path.Met(now, p.reach.lan)
}

// roamed notes that addresses or routes of this host have changed: every direct path
// is in doubt until it answers.
func (r *routing) roamed(now time.Time) {
	for _, p := range r.peers.byStatic {
		clear(p.reach.asked) // perhaps the system chooses another address now
		if p.reach.path != nil {
			p.reach.path.Roamed(now)
			r.peers.mark(p)
		}
	}
}

// needed notes that frames go to or come from a peer.
func (r *routing) needed(now time.Time, p *peer) {
	if probe := &p.reach.relay; p.sessions.sealing() != nil && !probe.timer.IsSet() {
		probe.timer.Set(now)
	}
}

// restarted notes that the process at the other end of a path is another one.
func (r *routing) restarted(now time.Time, p *peer) {
	if p.reach.path != nil {
		p.reach.path.Reset(now)
	}
	r.peers.mark(p)
}

// sendFailed notes that the system refused a datagram to an address.
func (r *routing) sendFailed(now time.Time, ev dataplane.SendRefused) {
	for _, p := range r.peers.byStatic {
		if p.reach.path == nil || p.view.Route().Direct != ev.Addr {
			continue
		}
		if ev.TooBig {
			p.reach.path.TooBig(now, ev.Addr)
		} else {
			p.reach.path.SendFailed(now, ev.Addr)
		}
		r.peers.mark(p)
	}
}

// setCandidates gives the path the addresses at which a peer says that it may be
// reached.
func (r *routing) setCandidates(now time.Time, p *peer, m protocol.Candidates) {
	r.log.Debug("candidates", "peer", p, "generation", m.Gen, "list", m.List)
	p.reach.setCandidates(now, m)
	r.peers.mark(p)
}

// settle lets the machines of a peer act on what has changed, and publishes how
// frames to it travel now. It is here that a peer goes over to the relayed path, and
// back: the machine finds or gives up the direct path (pollPath), judge avoids one
// that loses too much, and route publishes what follows (route.go).
func (r *routing) settle(now time.Time, p *peer) (w wishes) {
	w.session = p.reach.relay.oneSided
	p.reach.relay.oneSided = false
	w.introduction = r.route(now, p) // before the path asks for what goes by the relay
	if p.sessions.sealing() != nil {
		r.pollPath(now, p)
		r.pollRelaySize(now, p)
		r.judge(now, p)
		r.pollTrains(now, p)
	}
	w.introduction = r.route(now, p) || w.introduction
	r.settleTURN(now, p)
	return w
}

// schedule registers when a machine of a peer has something to do next.
func (r *routing) schedule(p *peer) {
	if p.sessions.sealing() == nil {
		p.reach.polling.Stop()
		return
	}
	at := p.reach.relay.size.mtu.Deadline()
	if p.reach.path != nil {
		at = deadline.Earliest(at, p.reach.path.Deadline(), p.reach.quality.trains.Deadline())
	}
	p.reach.polling.Set(at)
}

// pollPath sends what a peer's path machine asks for.
func (r *routing) pollPath(now time.Time, p *peer) {
	machine := p.reach.path
	if machine == nil {
		return
	}
	if r.peers.active(now, p) {
		machine.Used(now)
	} else if !r.supernodes.registered() {
		machine.Keep(now) // others may need us as an introducer
	}
	out := machine.Poll(now)
	for _, t := range out.Transitions {
		r.log.Debug("path", "peer", p, "from", t.From, "to", t.To, "why", t.Why)
	}
	for _, probe := range out.Probes {
		m := protocol.Ping{Nonce: probe.Nonce, Gen: probe.Gen, Path: probe.Path, Pad: max(r.pairs.out.PingPad(), protocol.MinPingPad+probe.Pad)}
		if probe.Socket > 0 {
			r.probeBySocket(p, probe, m)
		} else {
			r.pairs.sendBy(p, &dataplane.Route{Direct: probe.To, Local: r.sourceTo(p, probe.To)}, probe.TTL, m.Append)
		}
	}
	if out.WantPunch {
		r.punching.ask(now, p)
	}
	r.trimSockets(p)
}
