package edge

import (
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// listeners owns who is asked for the multicast groups that hosts have joined: those
// behind us, whose reports every edge hears; and from when on the memberships behind a
// peer are known. With --transparent there is nothing to do.
type listeners struct {
	groups     *bridge.Groups[*dataplane.Peer] // nil: transparent
	plane      *dataplane.Plane
	device     dataplane.FrameQueue
	filter     bridge.Filter
	supernodes supernodes

	silent bool // the gate was closed when the last event was over
	timers timer.Queue
	next   timer.Timer
}

func (l *listeners) deadline() time.Time { return l.timers.Next() }
func (l *listeners) tick(now time.Time)  { l.timers.Run(now) }

func (l *listeners) open() { l.next = timer.New(&l.timers, "ask for multicast memberships", l.due) }

// begin has the hosts behind us asked at once.
func (l *listeners) begin(now time.Time) {
	if l.groups != nil {
		l.groups.Ask()
		l.next.Set(now)
	}
}

// passes reports whether frames pass between our hosts and the other members.
func (l *listeners) passes() bool {
	gate := l.plane.Gate()
	return gate == nil || gate.Open()
}

// due asks our hosts what is to be asked now. Whoever stands by asks nobody: the bridge
// that forwards does.
func (l *listeners) due(now time.Time) {
	if !l.passes() {
		return
	}
	list, next := l.groups.Due(l.plane.Since(now))
	l.next.Set(l.plane.Started().Add(time.Duration(next)))
	source := protocol.ProbeSource(l.plane.Self())
	for _, q := range list {
		if !l.filter.Carries(q.VLAN) {
			continue
		}
		if l.plane.Gate() != nil {
			_ = l.plane.WriteFrame(l.device, q.AppendRouter(nil, source)) // counted
		}
		_ = l.plane.WriteFrame(l.device, q.Append(nil, source)) // counted
	}
}

// settle notes from when on the memberships behind a peer are known: a while after the
// beginning of a session, when both of us ask our hosts. A peer that does not ask its
// hosts gets all groups, and so does one without a session: nobody knows then whether it is
// there, and its reports could be anybody's.
func (l *listeners) settle(now time.Time, p *peer) {
	if l.groups == nil {
		return
	}
	switch v := p.view; {
	case v.Features()&protocol.FeatureMembers == 0, p.sessions.current == nil:
		v.Listener().SettleAt(0)
		p.place.met = nil
	case p.place.met != v:
		p.place.met = v
		v.Listener().SettleAt(l.plane.Since(now) + int64(bridge.SettleTime))
		l.groups.Ask()
		l.next.NotAfter(now)
	}
}

// settleAll has the hosts behind us asked as soon as we forward, and says how many others
// the community has, as far as supernodes know.
func (l *listeners) settleAll(now time.Time) {
	if silent := !l.passes(); silent != l.silent {
		if l.silent = silent; !silent {
			l.begin(now)
		}
	}
	most := 0
	for _, s := range l.supernodes {
		most = max(most, s.grant.others)
	}
	l.groups.SetOthers(most)
}
