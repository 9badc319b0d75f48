package edge

import (
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
	"hedgerow/tap"
)

const (
	// reachedWithin is how long ago some peer has to have been heard for a bridge without a
	// supernode not to be isolated: longer than two keepalives of a path.
	reachedWithin = time.Minute
	// greetAtOnce bounds the sessions that begin when a bridge takes over a segment.
	greetAtOnce = 64
	// sayAgain is how often a change is told once more, with the next probes.
	sayAgain = 3
	// reflectedShown is how long status tells of a probe of our own that came back.
	reflectedShown = 30 * time.Second
)

// segment is the owner of what a bridge is on its segment: it drives the election of the
// forwarder, opens and closes the gate of the queues, and tells every member of a change.
// An edge that is no bridge has none.
type segment struct {
	machine *bridge.Forwarder
	prober  bridge.Prober
	keys    *probeKeys
	said    segmentSaid

	device     segmentDevice
	boot       func() uint64 // the number of our statement
	peers      *peers
	sessions   interface{ initiate(p *peer) }
	supernodes supernodes
	pairs      pairSender
	plane      *dataplane.Plane
	refusals   *refusals
	reports    *reporter
	timers     timer.Queue
	next       timer.Timer
}

// segmentDevice is the device, and why it is on no segment.
type segmentDevice struct {
	frames     dataplane.FrameQueue
	name       string
	condition  func() tap.Condition // nil: nobody watches over it
	unwritable bool                 // it does not take frames
	outside    bool                 // it was taken from its bridge, or that has no carrier
}

// segmentSaid is what the members were told last.
type segmentSaid struct {
	message  protocol.Segment
	state    bridge.State
	vanished int
	again    int // how often it is still said again, since it may be lost
}

// begin has the bridge listen.
func (s *segment) begin(now time.Time) {
	if s == nil {
		return
	}
	s.said.message.Serial = s.boot() << serialBits
	s.next = timer.New(&s.timers, "probe the segment", s.probe)
	s.machine.SetIsolated(now, true)
	s.machine.Begin(now)
	s.next.Set(now)
}

func (s *segment) deadline() time.Time { return s.timers.Next() }
func (s *segment) tick(now time.Time)  { s.timers.Run(now) }

// probe does what is due.
func (s *segment) probe(now time.Time) {
	s.plane.Gate().SetKeys(s.keys.all(now))
	s.machine.SetIsolated(now, !s.reaches(now))
	if s.device.condition != nil {
		if c := s.device.condition(); c.MTU != 0 {
			s.setOutside(now, c.Bridge == "")
		}
	}
	s.machine.Tick(now)
	if s.device.unwritable && !s.device.outside {
		s.device.unwritable = false
		s.machine.Begin(now) // its first probe shows whether the device takes frames again
	}
	s.settle(now)
}

// listen has the bridge listen again: time was lost, or what it is on has changed.
func (s *segment) listen(now time.Time) {
	if s == nil {
		return
	}
	if !s.device.unwritable && !s.device.outside {
		s.machine.Begin(now)
	} else {
		s.machine.Leave(now)
	}
	s.settle(now)
}

// setOutside says whether the device is outside of its bridge, so that nothing may pass.
func (s *segment) setOutside(now time.Time, outside bool) {
	if s.device.outside != outside {
		s.device.outside = outside
		s.listen(now)
	}
}

// heard verifies a probe that came from the device and takes it into account.
func (s *segment) heard(now time.Time, frame []byte) {
	p, err := protocol.ParseProbe(frame)
	body := protocol.ProbeBody(frame)
	if err != nil || !crypto.VerifyProbe(p.Rank.ID, s.prober.CID, body[:protocol.ProbeSigned], p.Signature) || s.peers.pins.admission.refuses(p.Rank.ID) {
		s.refusals.note(refusedProbe, nil)
		return
	}
	if peer := s.peers.byStatic[p.Static]; peer != nil && peer.identity.proven {
		st := peer.identity.statement
		if st.ID != p.Rank.ID || st.Seq > p.Boot { // another one's key, or recorded before its last start
			s.refusals.note(refusedProbe, peer)
			return
		}
	}
	if !s.plane.Gate().Verified(&p) {
		s.refusals.note(refusedProbe, nil)
		return
	}
	if tag, ok := bridge.TagOf(frame); ok {
		s.plane.Gate().Tags().Met(s.plane.Since(now), tag)
	}
	s.machine.Hear(now, p)
	s.settle(now)
}

// settle acts on what the machine has decided.
func (s *segment) settle(now time.Time) {
	state, _ := s.machine.State()
	s.plane.Gate().Set(state == bridge.Forwarding) // before anybody is told
	if p, ok := s.machine.Probe(now); ok {
		s.send(now, p)
		if s.said.again > 0 {
			s.said.again--
			s.tellAll()
		}
	}
	s.tell(now)
	s.next.Set(s.due(now))
}

// due returns when the machine has something to do, or when a device that takes no
// frames is tried again.
func (s *segment) due(now time.Time) time.Time {
	if at := s.machine.Deadline(now); !at.IsZero() {
		return at
	}
	if s.device.unwritable && !s.device.outside {
		return now.Add(bridge.ProbeEvery)
	}
	return time.Time{}
}

// send sends a probe into the segment. A device that does not take it is on none.
func (s *segment) send(now time.Time, p protocol.Probe) {
	ki, key, ok := s.keys.sending(now)
	if !ok {
		return
	}
	s.prober.Boot = s.boot() // another statement was signed if the clock was wrong at the start
	frame := s.prober.Frame(p, ki, key)
	if s.plane.WriteFrame(s.device.frames, frame) != nil && !s.device.unwritable {
		s.device.unwritable = true
		s.machine.Leave(now)
		s.plane.Gate().Set(false)
	}
	if s.device.unwritable {
		return
	}
	for _, tag := range s.plane.Gate().Tags().Next(s.plane.Since(now)) {
		_ = s.plane.WriteFrame(s.device.frames, protocol.AppendTagged(nil, frame, tag.Type, tag.VLAN)) // counted
	}
}

// goodbye tells the segment that this bridge ends, so that another one takes over at
// once.
func (s *segment) goodbye(now time.Time) {
	if s == nil {
		return
	}
	s.plane.Gate().Set(false)
	if p, ok := s.machine.Farewell(now); ok {
		s.send(now, p)
	}
}

// reaches reports whether this edge reaches any member.
func (s *segment) reaches(now time.Time) bool {
	if s.supernodes.registered() {
		return true
	}
	for _, p := range s.peers.byStatic {
		if p.sessions.current != nil && now.Sub(s.peers.heardAt(p)) < reachedWithin {
			return true
		}
	}
	return false
}

// tell tells every member with a session what has changed, and the user.
func (s *segment) tell(now time.Time) {
	m := s.message(now)
	vanished := s.machine.Vanished()
	m.Forget = vanished != s.said.vanished && m.State == protocol.SegmentForwarding
	last := &s.said
	if !m.Forget && m.State == last.message.State && slices.Equal(m.Members, last.message.Members) {
		return
	}
	m.Serial = last.message.Serial + 1
	before := last.state
	state, _ := s.machine.State()
	*last = segmentSaid{message: m, state: state, vanished: vanished, again: sayAgain}
	s.tellAll()
	if state == before {
		return
	}
	for _, n := range s.machine.Neighbours(now) {
		if p := s.peers.byStatic[n.Static]; p != nil {
			s.plane.ForgetHosts(p.view) // they are on this segment
		}
	}
	if state != bridge.Forwarding {
		s.plane.Stations().Flush(nil) // nothing is heard of our side any more
	}
	if state == bridge.Forwarding && before == bridge.Standby {
		s.greet()
	}
	if state != bridge.Claiming {
		s.reports.report(now, control.Event{Kind: control.EventSegment, Text: s.text()})
	}
}

// tellAll tells every member with a session what this bridge says of its segment.
func (s *segment) tellAll() {
	for _, p := range s.peers.byStatic {
		s.tellPeer(p, s.said.message)
	}
}

// tellPeer tells a peer what this bridge says of its segment.
func (s *segment) tellPeer(p *peer, m protocol.Segment) {
	if p.sessions.current == nil || p.view.Features()&protocol.FeatureHosts == 0 {
		return
	}
	s.pairs.send(p, m.Append)
}

// greet begins sessions with members that have none, so that they hear who took over.
func (s *segment) greet() {
	left := greetAtOnce
	for _, p := range s.peers.byStatic {
		if left > 0 && p.known() && p.sessions.idle() {
			s.sessions.initiate(p)
			left--
		}
	}
}

var segmentStates = map[bridge.State]protocol.SegmentState{
	bridge.Away: protocol.SegmentAway, bridge.Listening: protocol.SegmentListening, bridge.Standby: protocol.SegmentStandby,
	bridge.Claiming: protocol.SegmentStandby, bridge.Forwarding: protocol.SegmentForwarding,
}

// message returns what there is to say of the segment, without its number.
func (s *segment) message(now time.Time) protocol.Segment {
	state, _ := s.machine.State()
	m := protocol.Segment{State: segmentStates[state]}
	named := map[[32]byte]bool{{}: true}
	add := func(role protocol.SegmentRole, static [32]byte) {
		if !named[static] && len(m.Members) < protocol.MaxSegmentMembers {
			named[static] = true
			m.Members = append(m.Members, protocol.SegmentMember{Role: role, Static: static})
		}
	}
	if n, ok := s.machine.Rival(); ok {
		add(protocol.RoleForwarder, n.Static)
	}
	if state == bridge.Away {
		return m
	}
	list := s.machine.Neighbours(now)
	if n, ok := s.machine.Succeeded(); ok && !slices.ContainsFunc(list, func(l bridge.Neighbour) bool { return l.Static == n.Static }) {
		add(protocol.RoleSucceeded, n.Static)
	}
	for _, n := range list {
		add(protocol.RoleNeighbour, n.Static)
	}
	return m
}

// own returns what this edge says of its segment to a peer that has not heard it.
func (s *segment) own() protocol.Segment {
	if s == nil {
		return protocol.Segment{}
	}
	m := s.said.message
	m.Forget = false
	return m
}

// appendTo appends what a peer is told at the start of a session.
func (s *segment) appendTo(b []byte) []byte {
	m := s.own()
	return m.Append(b)
}
