package edge

import (
	"slices"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Times of the question to a bridge that another one says it has succeeded.
const (
	successionEvery = 200 * time.Millisecond
	successionWait  = 600 * time.Millisecond // for anything from a bridge that was not heard since
	successionMost  = 3 * time.Second        // for an answer of one that was
)

// Bounds of what is answered and asked.
const (
	segmentAnswerRate  = 5.0 // answers to one peer, a second
	segmentAnswerBurst = 10
	maxSuccessions     = 64 // questions under way
)

// maxAnnounced bounds the stations of our own side that a bridge hears of when it begins to
// forward for a segment of several. The switches there learn the others from their frames.
const maxAnnounced = 128

// successions is the owner of what other bridges say of their segments: where the hosts
// behind them are now. A bridge decides about the hosts behind itself alone. Those behind
// another one move only to whom that one has named, and only if it does not forward any
// more, by its own word or since it does not answer.
type successions struct {
	peers     *peers
	pairs     pairSender
	own       func() protocol.Segment // what we say of our segment
	plane     *dataplane.Plane
	refusals  *refusals
	isolation *isolation
	asking    []*peer // with a succession, at most maxSuccessions
	timers    timer.Queue
	next      timer.Timer
}

func (s *successions) open() { s.next = timer.New(&s.timers, "ask a bridge that was succeeded", s.ask) }

func (s *successions) deadline() time.Time { return s.timers.Next() }
func (s *successions) tick(now time.Time)  { s.timers.Run(now) }

// handle acts on what a peer says of its segment.
func (s *successions) handle(now time.Time, p *peer, m protocol.Segment) {
	if m.Ask {
		s.answer(now, p)
	}
	seg := &p.reach.segment
	switch {
	case m.State == protocol.SegmentNone && m.Ask:
		return
	case !p.view.Bridge():
		s.refusals.note(refusedSegmentPlain, p)
		return
	case m.Serial < seg.serial:
		s.refusals.note(refusedSegmentOld, p)
		return
	}
	forget := m.Forget && m.Serial > seg.serial // it may come again
	begins := m.State == protocol.SegmentForwarding && seg.state != protocol.SegmentForwarding
	*seg = peerSegment{serial: m.Serial, state: m.State, said: now, answers: seg.answers, succession: seg.succession}
	for _, n := range m.Members {
		switch n.Role {
		case protocol.RoleNeighbour:
			seg.neighbours = append(seg.neighbours, n.Static)
		case protocol.RoleForwarder:
			seg.forwarder = n.Static
		}
	}
	if forget || m.State != protocol.SegmentForwarding && m.State != protocol.SegmentStandby {
		s.plane.ForgetHosts(p.view)
	}
	s.place(now, p)
	s.judge(now, p)
	if m.State == protocol.SegmentForwarding {
		for _, static := range seg.neighbours {
			if q := s.peers.byStatic[static]; q != nil && q != p {
				s.place(now, q)
			}
		}
		s.claims(now, p, m)
		if begins && len(m.Members) > 0 {
			s.announce(now, p)
		}
	}
}

// announce sends a frame of ours, and of each station on our own side, to a bridge that has
// begun to forward for a segment of several: the switches there still send what is for us
// to the one that forwarded before.
func (s *successions) announce(now time.Time, p *peer) {
	gate := s.plane.Gate()
	if gate != nil && !gate.Open() || !s.isolation.exchanges(p) {
		return
	}
	frames := [][]byte{bridge.AppendMoved(nil, bridge.Key{MAC: s.plane.Self()})}
	if gate != nil {
		for _, key := range s.plane.Stations().Here(s.plane.Since(now), maxAnnounced) {
			frames = append(frames, bridge.AppendMoved(nil, key))
		}
	}
	s.pairs.out.SendStaged(now, p.view, frames)
}

// place moves the hosts behind a bridge that stands by to the one that forwards instead,
// once both have said so.
func (s *successions) place(now time.Time, p *peer) {
	if p.reach.segment.state != protocol.SegmentStandby {
		p.view.SetBehind(nil)
		return
	}
	q := s.peers.byStatic[p.reach.segment.forwarder]
	switch {
	case q == nil || q == p || q.reach.segment.state == protocol.SegmentNone:
		p.view.SetBehind(nil)
		s.plane.ForgetHosts(p.view) // they are on our own segment, or behind somebody unknown
	case q.reach.segment.state == protocol.SegmentForwarding:
		p.view.SetBehind(q.view)
		s.plane.MoveHosts(now, p.view, q.view)
	}
}

// claims takes down whom a bridge says that it has succeeded.
func (s *successions) claims(now time.Time, by *peer, m protocol.Segment) {
	for _, n := range m.Members {
		p := s.peers.byStatic[n.Static]
		if n.Role != protocol.RoleSucceeded || p == nil || p == by || p.reach.segment.state == protocol.SegmentNone {
			continue
		}
		switch {
		case !slices.Contains(p.reach.segment.neighbours, by.view.Static()):
			s.refusals.note(refusedSegmentHeir, by)
		case p.reach.segment.succession != nil || len(s.asking) == maxSuccessions:
		default:
			p.reach.segment.succession = &succession{by: by, began: now}
			s.asking = append(s.asking, p)
			s.judge(now, p)
			s.next.NotAfter(now)
		}
	}
}

// judge ends the question about a bridge if it can be decided.
func (s *successions) judge(now time.Time, p *peer) {
	c := p.reach.segment.succession
	if c == nil {
		return
	}
	heard := s.peers.heardAt(p).After(c.began)
	switch {
	case p.gone || c.by.gone:
	case p.reach.segment.state != protocol.SegmentForwarding, p.sessions.none(), !heard && now.Sub(c.began) >= successionWait:
		s.plane.MoveHosts(now, p.view, c.by.view)
	case p.reach.segment.said.After(c.began), now.Sub(c.began) >= successionMost:
		s.refusals.note(refusedSegmentAlive, c.by)
	default:
		return
	}
	p.reach.segment.succession = nil
	s.asking = slices.DeleteFunc(s.asking, func(q *peer) bool { return q == p })
}

// ask asks the bridges that others say they have succeeded, and decides about those that
// have had time to answer.
func (s *successions) ask(now time.Time) {
	for _, p := range slices.Clone(s.asking) {
		s.judge(now, p)
		c := p.reach.segment.succession
		if c == nil || !c.asked.IsZero() && now.Sub(c.asked) < successionEvery {
			continue
		}
		c.asked = now
		m := s.own()
		m.Ask = true
		s.send(p, m)
	}
	if len(s.asking) > 0 {
		s.next.Set(now.Add(successionEvery))
	}
}

// answer tells a peer what this edge says of its segment.
func (s *successions) answer(now time.Time, p *peer) {
	if p.reach.segment.answers.Take(now, 1, segmentAnswerRate, segmentAnswerBurst) {
		s.send(p, s.own())
	} else {
		s.refusals.note(refusedSegmentRate, p)
	}
}

func (s *successions) send(p *peer, m protocol.Segment) {
	r := p.view.Route()
	r.Dual = true
	s.pairs.sendBy(p, &r, 0, m.Append)
}
