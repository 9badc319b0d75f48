package edge

import (
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
)

// reporter tells the user what has changed, and each thing once.
type reporter struct {
	tell      func(control.Event)
	plane     *dataplane.Plane
	keys      *keyring
	describer *describer
	isReady   bool
}

// report tells of a change of state.
func (r *reporter) report(now time.Time, ev control.Event) {
	ev.Time = r.plane.Wall(now)
	r.tell(ev)
}

// settle tells when a peer comes up, changes between direct and relayed path, or is gone.
func (r *reporter) settle(now time.Time, p *peer) {
	if p.sessions.current == nil {
		r.gone(now, p)
		return
	}
	to := p.view.Route()
	direct := to.Direct.IsValid()
	if !direct && (to.Session == nil || to.Supernode == nil || p.reach.relay.ping.rtt == 0) {
		return // there is no path, or it was not measured
	}
	if p.reported.up && p.reported.direct == direct {
		return
	}
	p.reported = peerReport{up: true, direct: direct}
	ev := control.Event{Kind: control.EventPeerPath, Peer: r.describer.peer(now, p)}
	if ms := ev.Peer.RTTms; ms != nil {
		ev.RTT = time.Duration(*ms * float64(time.Millisecond))
	}
	r.report(now, ev)
}

// gone tells that a peer that was up is not any more.
func (r *reporter) gone(now time.Time, p *peer) {
	if p.reported.up {
		p.reported = peerReport{}
		r.report(now, control.Event{Kind: control.EventPeerGone, Peer: r.describer.peer(now, p)})
	}
}

// registered tells of a registration, and what is odd about it.
func (r *reporter) registered(now time.Time, s *supernode) {
	told := &s.reported
	if !told.ready || told.lost {
		r.report(now, control.Event{
			Kind: control.EventRegistered, Supernode: s.cfg.Name, Addr: s.shownAddr(), RTT: s.keepalive.rtt,
			KeyIndex: r.keys.sendingIndex(), Text: s.streamText(),
		})
	}
	alone := s.grant.others == 0
	if alone && s.grant.nameInUse && !r.describer.peers.met() && !told.wrongKey {
		told.wrongKey = true
		r.report(now, control.Event{Kind: control.EventWrongKey, Supernode: s.cfg.Name})
	} else if alone && !s.grant.nameInUse && !told.alone {
		told.alone = true
		r.report(now, control.Event{Kind: control.EventAlone, Supernode: s.cfg.Name})
	}
	*told = supernodeReport{ready: true, wrongKey: told.wrongKey, alone: told.alone}
}

// ready tells once that the edge can carry frames.
func (r *reporter) ready(now time.Time) {
	if !r.isReady {
		r.isReady = true
		r.report(now, control.Event{Kind: control.EventReady, Elapsed: now.Sub(r.plane.Started())})
	}
}
