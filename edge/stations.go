package edge

import (
	"log/slog"
	"maps"
	"net/netip"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Bounds of what stations cause.
const (
	pollRate, pollBurst         = 50, 200      // polls a second on our LAN, for questions
	peerPollRate, peerPollBurst = 10, 40       // of those, for questions of one peer
	contestRate, contestBurst   = 1.0 / 10, 10 // log lines about contests
)

// stations owns the questions about stations (package bridge): it asks the edges that
// they are behind, answers what those ask about ours, and tells the user of addresses
// that two have.
type stations struct {
	peers  *peers
	pairs  pairSender
	plane  *dataplane.Plane
	device dataplane.FrameQueue
	needed func(now time.Time, p *peer) // has a peer get a session
	log    *slog.Logger

	polls     bucket.Limiter           // on our LAN
	peerPolls map[*peer]*bucket.Bucket // of those for each peer; one that is full may be left out
	lines     bucket.Limiter

	timers timer.Queue
	next   timer.Timer // when the database has something to do
}

func (s *stations) open() {
	s.next = timer.New(&s.timers, "ask about stations", s.due)
	s.polls, s.lines = bucket.NewLimiter(pollRate, pollBurst), bucket.NewLimiter(contestRate, contestBurst)
	s.peerPolls = make(map[*peer]*bucket.Bucket)
}

func (s *stations) deadline() time.Time { return s.timers.Next() }
func (s *stations) tick(now time.Time)  { s.timers.Run(now) }

// due asks what is to be asked now, and tells of contests.
func (s *stations) due(now time.Time) {
	list, next := s.plane.StationsDue(s.plane.Since(now))
	asks := make(map[*dataplane.Peer][]protocol.AskedHost)
	var seq uint32
	for _, q := range list {
		seq = q.Seq // one for all
		if q.To == nil {
			s.askHere(now, q)
			continue
		}
		asks[q.To] = append(asks[q.To], protocol.AskedHost{VLAN: q.VLAN, MAC: q.MAC, Since: q.Since})
	}
	for view, hosts := range asks {
		s.ask(now, view, seq, hosts)
	}
	s.tell(now)
	if next != 0 {
		s.next.Set(s.plane.Started().Add(time.Duration(next)))
	}
}

// ask asks a peer about stations that are behind it. Without a session the question is
// lost as a datagram would be, and one is made for the next.
func (s *stations) ask(now time.Time, view *dataplane.Peer, seq uint32, hosts []protocol.AskedHost) {
	p := s.peers.viewed(view)
	if p == nil {
		return
	}
	if view.Route().Session == nil {
		s.needed(now, p)
	}
	for len(hosts) > 0 {
		n := min(len(hosts), protocol.MaxHostAsk)
		m := protocol.HostAsk{Seq: seq, List: hosts[:n]}
		s.pairs.send(p, m.Append)
		hosts = hosts[n:]
	}
}

// askHere answers a question about a station on our own side that was heard elsewhere.
func (s *stations) askHere(now time.Time, q bridge.Question[*dataplane.Peer]) {
	a := s.lookFor(now, nil, q.Key, q.Since)
	a.Seq = q.Seq
	s.plane.Stations().Answered(s.plane.Since(now), nil, a)
}

// lookFor returns what is known of a station on our own side, and asks for it on our
// LAN if that may tell more. by is the peer that wants to know, nil for ourselves.
func (s *stations) lookFor(now time.Time, by *peer, key bridge.Key, since time.Duration) bridge.Answer {
	ns := s.plane.Since(now)
	a, addr := s.plane.Stations().Ask(ns, key, since)
	if !addr.IsValid() || !s.mayPoll(now, by) {
		return a
	}
	s.plane.Stations().Polled(ns, key)
	s.poll(key.VLAN, addr)
	return a
}

// poll asks for an address on our LAN.
func (s *stations) poll(vlan uint16, addr netip.Addr) {
	_ = s.plane.WriteFrame(s.device, bridge.AppendPoll(nil, s.plane.Self(), vlan, addr)) // counted
}

// seek asks on our LAN for a station that frames are flooded for, unless it was heard just
// now, here or elsewhere. The address is the word of whoever sent the frames, so that no
// answer means nothing (bridge.FDB.Polled).
func (s *stations) seek(now time.Time, ev dataplane.StationSought) {
	if _, at := s.plane.Stations().Lookup(s.plane.Since(now), ev.Key); at != bridge.Here && at != bridge.Behind && s.plane.Gate().Open() {
		s.poll(ev.VLAN, ev.Addr)
	}
}

// maxPeerPolls is how many buckets of peers are kept before the full ones are left out.
// What all peers have together bounds those that are not full.
const maxPeerPolls = 256

// mayPoll reports whether a station is asked for on our LAN for a peer, nil for
// ourselves.
func (s *stations) mayPoll(now time.Time, by *peer) bool {
	if by == nil {
		return s.polls.Take(now)
	}
	b := s.peerPolls[by]
	if b == nil {
		if len(s.peerPolls) >= maxPeerPolls {
			maps.DeleteFunc(s.peerPolls, func(_ *peer, b *bucket.Bucket) bool { return b.Full(now) })
		}
		b = new(bucket.Bucket)
	}
	if !b.Has(now, 1, peerPollRate, peerPollBurst) || !s.polls.Take(now) {
		return false
	}
	s.peerPolls[by] = b
	return b.Take(now, 1, peerPollRate, peerPollBurst)
}

// handleAsk answers a peer's question about stations on our own side.
func (s *stations) handleAsk(now time.Time, p *peer, m protocol.HostAsk) {
	answer := protocol.HostIs{Seq: m.Seq}
	for _, h := range m.List {
		a := s.lookFor(now, p, bridge.Key{VLAN: h.VLAN, MAC: h.MAC}, h.Since)
		answer.List = append(answer.List, protocol.HostAnswer{VLAN: h.VLAN, MAC: h.MAC, Known: a.Known, Since: a.Since, Polled: a.Polled, Ago: a.Ago})
	}
	s.pairs.send(p, answer.Append)
}

// handleAnswer acts on what a peer says about stations behind it.
func (s *stations) handleAnswer(now time.Time, p *peer, m protocol.HostIs) {
	ns := s.plane.Since(now)
	for _, h := range m.List {
		s.plane.Stations().Answered(ns, p.view, bridge.Answer{
			Key: bridge.Key{VLAN: h.VLAN, MAC: h.MAC}, Seq: m.Seq, Known: h.Known, Since: h.Since, Polled: h.Polled, Ago: h.Ago,
		})
	}
	s.tell(now)
}

// tell says in the log which stations two edges have, and on our LAN which have left:
// its switches still send their frames to where they were.
func (s *stations) tell(now time.Time) {
	contests, left := s.plane.Stations().Told()
	for _, key := range left {
		_ = s.plane.WriteFrame(s.device, bridge.AppendMoved(nil, key)) // counted
	}
	for _, c := range contests {
		if s.lines.Take(now) {
			s.log.Warn("a hardware address is used behind two edges, frames go to the first: look for two machines with it, or for a loop [E33]", "mac", c.MAC, "vlan", c.VLAN,
				"at", s.title(c.At), "also", s.title(c.Other))
		}
	}
}

// title returns what the user knows an edge by; nil is our own side.
func (s *stations) title(v *dataplane.Peer) string {
	if v == nil {
		return "here"
	}
	if p := s.peers.viewed(v); p != nil {
		return p.title()
	}
	return "an edge that is gone"
}
