package bridge

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"hedgerow/protocol"
)

// Times of a Forwarder.
const (
	// ProbeEvery is the time between two probes.
	ProbeEvery = 500 * time.Millisecond
	// ListenFor is how long a bridge that begins listens before it passes frames: long
	// enough to hear each other one, and to be heard.
	ListenFor = 3 * ProbeEvery
	// silentAfter is how long after its last probe a bridge counts as gone: three of
	// them are missing.
	silentAfter = 3*ProbeEvery + 100*time.Millisecond
	// betterWait is how long a better bridge that hears no forwarder either is waited
	// for. It notices that in the same moment as we do.
	betterWait = 2 * ProbeEvery
	// claimAgain is how long a bridge that does not hear us is left to forward.
	claimAgain = 10 * time.Second
	// answerEvery is the least time between two probes, however much there is to say.
	answerEvery = 50 * time.Millisecond
)

// maxNeighbours is how many other bridges of a segment are known: the best ones.
const maxNeighbours = protocol.MaxSegmentMembers

// State is what a bridge does on its segment.
type State uint8

// The states of a Forwarder. It passes frames as Forwarding alone.
const (
	// Away: the device is on no segment.
	Away State = iota
	// Listening: it has begun, and listens for others.
	Listening
	// Standby: another bridge forwards.
	Standby
	// Claiming: a worse bridge forwards, and was told to leave that to us.
	Claiming
	// Forwarding: frames pass.
	Forwarding
)

var stateNames = [...]string{Away: "away", Listening: "listening", Standby: "standby", Claiming: "claiming", Forwarding: "forwarding"}

// String returns the name of the state.
func (s State) String() string { return stateNames[s] }

// Compare orders the bridges of a segment. The lower one is the better: it reaches
// other members, has the lower priority number (as in IEEE 802.1D), or the lower
// identity.
func Compare(a, b protocol.ProbeRank) int {
	if a.Isolated != b.Isolated {
		if a.Isolated {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), bytes.Compare(a.ID[:], b.ID[:]))
}

// Neighbour is another bridge on the segment.
type Neighbour struct {
	Rank   protocol.ProbeRank
	Static [32]byte
	Heard  time.Time // last; hearsay has when the other one heard it

	state protocol.ProbeState
	names protocol.ProbeRank
	named time.Time // when names was heard by this neighbour
}

// Forwarder is the designated forwarder election of one bridge on its segment: of all
// members' bridges there, one passes frames. It has no goroutine and no clock: each
// method has the time as an argument, and Deadline says when Tick is due. After any of
// them Probe says whether a probe is to be sent.
type Forwarder struct {
	rank       protocol.ProbeRank
	state      State
	since      time.Time // of state
	neighbours []Neighbour

	rival      Neighbour // who forwards or claims, as of the last decision; zero: nobody
	succeeded  Neighbour // who forwarded before us
	vanished   int       // neighbours that fell silent while we forwarded
	leaderless time.Time // since when there is no forwarder and a better bridge is waited for
	contested  time.Time // since when a worse bridge forwards beside us
	yielded    time.Time // when a worse one was left to forward, since it does not hear us

	sent time.Time // the last probe
	due  bool      // there is something to say before the next is due
}

// NewForwarder returns the machine of a bridge with a rank. It is Away until Begin.
func NewForwarder(rank protocol.ProbeRank) *Forwarder { return &Forwarder{rank: rank} }

// State returns the state, and since when it is that.
func (f *Forwarder) State() (State, time.Time) { return f.state, f.since }

// Rank returns the bridge's own rank.
func (f *Forwarder) Rank() protocol.ProbeRank { return f.rank }

// Rival returns the bridge that forwards instead of this one, false if there is none.
func (f *Forwarder) Rival() (Neighbour, bool) {
	return f.rival, f.state != Forwarding && f.rival != Neighbour{}
}

// Succeeded returns the bridge that forwarded before this one, false if there was none
// or if this one does not forward.
func (f *Forwarder) Succeeded() (Neighbour, bool) {
	return f.succeeded, f.state == Forwarding && f.succeeded != Neighbour{}
}

// Neighbours returns the other bridges that are on the segment now, the best first.
func (f *Forwarder) Neighbours(now time.Time) []Neighbour {
	var list []Neighbour
	for _, n := range f.neighbours {
		if n.alive(now) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b Neighbour) int { return Compare(a.Rank, b.Rank) })
	return list
}

// alive reports whether a neighbour was heard lately, and not leaving.
func (n *Neighbour) alive(now time.Time) bool {
	return now.Before(n.Heard.Add(silentAfter)) && n.state != protocol.ProbeLeaving
}

// passes reports whether a neighbour passes frames, or will at once.
func (n *Neighbour) passes() bool {
	return n.state == protocol.ProbeForwarding || n.state == protocol.ProbeClaiming
}

// Begin has the bridge listen: its device has come to a segment, or time was lost (the
// machine was suspended) and another one may forward by now.
func (f *Forwarder) Begin(now time.Time) {
	f.neighbours, f.rival = nil, Neighbour{}
	f.leaderless, f.contested, f.yielded = time.Time{}, time.Time{}, time.Time{}
	f.enter(now, Listening)
}

// GoOn has the bridge forward at once: another process has just done so in its place, and
// whoever else is on the segment has heard no pause.
func (f *Forwarder) GoOn(now time.Time) {
	f.Begin(now)
	f.enter(now, Forwarding)
}

// Leave has the bridge pass nothing: its device is on no segment any more.
func (f *Forwarder) Leave(now time.Time) {
	f.neighbours, f.rival = nil, Neighbour{}
	f.enter(now, Away)
}

// SetIsolated says whether the bridge reaches other members.
func (f *Forwarder) SetIsolated(now time.Time, isolated bool) {
	if f.rank.Isolated != isolated {
		f.rank.Isolated, f.due = isolated, true
		f.decide(now)
	}
}

// enter changes the state.
func (f *Forwarder) enter(now time.Time, s State) {
	if s == f.state && s != Listening {
		return
	}
	if s == Forwarding {
		f.succeeded = f.rival
	}
	f.state, f.since, f.due = s, now, true
	f.leaderless, f.contested = time.Time{}, time.Time{}
}

// Hear takes a probe of another member that was authentic and newer than the one
// before.
func (f *Forwarder) Hear(now time.Time, p protocol.Probe) {
	if f.state == Away || p.Rank.ID == f.rank.ID {
		return
	}
	n := f.neighbour(p.Rank)
	if n == nil {
		return
	}
	if n.Heard.IsZero() {
		f.due = true // it has to know of us
	}
	*n = Neighbour{Rank: p.Rank, Static: p.Static, Heard: now, state: p.State, names: p.Forwarder}
	n.named = now.Add(-time.Duration(p.Age) * time.Millisecond)
	if f.state == Forwarding && n.passes() || f.state == Claiming && n.state == protocol.ProbeForwarding {
		f.due = true // the two of us must not both pass frames
	}
	f.decide(now)
}

// neighbour returns the place of a neighbour, made if need be, or nil if there are as
// many as are kept and all of them are better.
func (f *Forwarder) neighbour(rank protocol.ProbeRank) *Neighbour {
	worst := -1
	for i := range f.neighbours {
		if f.neighbours[i].Rank.ID == rank.ID {
			return &f.neighbours[i]
		}
		if worst < 0 || Compare(f.neighbours[i].Rank, f.neighbours[worst].Rank) > 0 {
			worst = i
		}
	}
	if len(f.neighbours) < maxNeighbours {
		f.neighbours = append(f.neighbours, Neighbour{})
		return &f.neighbours[len(f.neighbours)-1]
	}
	if Compare(rank, f.neighbours[worst].Rank) >= 0 {
		return nil
	}
	f.neighbours[worst] = Neighbour{}
	return &f.neighbours[worst]
}

// Tick does what is due.
func (f *Forwarder) Tick(now time.Time) {
	if f.state == Away {
		return
	}
	if f.state != Listening && !f.sent.IsZero() && now.Sub(f.sent) > silentAfter {
		f.Begin(now) // we were not heard for so long that another one may forward
		return
	}
	f.expire(now)
	f.decide(now)
}

// expire forgets who fell silent.
func (f *Forwarder) expire(now time.Time) {
	f.neighbours = slices.DeleteFunc(f.neighbours, func(n Neighbour) bool {
		if now.Before(n.Heard.Add(silentAfter)) {
			return false
		}
		if f.state == Forwarding && n.state != protocol.ProbeLeaving {
			f.vanished++
		}
		return true
	})
}

// Vanished counts the neighbours that fell silent while this bridge forwarded: the
// segment may have come apart, and hosts that were here may be behind them.
func (f *Forwarder) Vanished() int { return f.vanished }

// decide finds the state that follows from what was heard.
func (f *Forwarder) decide(now time.Time) {
	switch {
	case f.state == Away:
		return
	case f.state == Listening && now.Before(f.since.Add(ListenFor)):
		return
	}
	rival, ok := f.strongest(now, true)
	switch {
	case f.state == Forwarding:
		f.defend(now, rival, ok)
	case !ok:
		f.succeed(now)
	case Compare(f.rank, rival.Rank) < 0 && f.mayClaim(now):
		f.rival = rival
		f.enter(now, Claiming)
	default:
		if f.state == Claiming && Compare(f.rank, rival.Rank) < 0 {
			f.yielded = now
		}
		f.rival = rival
		f.enter(now, Standby)
	}
}

// mayClaim reports whether a worse forwarder may be told, or be told on, to leave the
// segment to us. One that did not listen does not hear us, and is left alone for a
// while: nothing must pass twice.
func (f *Forwarder) mayClaim(now time.Time) bool {
	if f.state == Claiming {
		return now.Before(f.since.Add(silentAfter))
	}
	return f.yielded.IsZero() || !now.Before(f.yielded.Add(claimAgain))
}

// defend is for a bridge that forwards: it gives way to a better one, and to a worse
// one that goes on beside it, since that does not hear us.
func (f *Forwarder) defend(now time.Time, rival Neighbour, ok bool) {
	switch {
	case !ok:
		f.contested = time.Time{}
		return
	case Compare(rival.Rank, f.rank) < 0:
	case f.contested.IsZero():
		f.contested = now
		return
	case now.Before(f.contested.Add(silentAfter)):
		return
	default:
		f.yielded = now
	}
	f.rival = rival
	f.enter(now, Standby)
}

// succeed is for a bridge that hears no forwarder: the best one forwards.
func (f *Forwarder) succeed(now time.Time) {
	for i := range f.neighbours {
		if n := &f.neighbours[i]; n.alive(now) && Compare(n.Rank, f.rank) < 0 {
			if f.leaderless.IsZero() {
				f.leaderless = now
			}
			if now.Before(f.leaderless.Add(betterWait)) {
				return
			}
		}
	}
	f.enter(now, Forwarding)
	f.rival = Neighbour{}
}

// strongest returns the best of those that pass frames: bridges that are heard, and, with
// hearsay, those that they hear. So a bridge that hears only a part of its segment does
// not forward into it.
func (f *Forwarder) strongest(now time.Time, hearsay bool) (best Neighbour, ok bool) {
	consider := func(n Neighbour) {
		if n.Rank.ID != f.rank.ID && now.Before(n.Heard.Add(silentAfter)) && (!ok || Compare(n.Rank, best.Rank) < 0) {
			best, ok = n, true
		}
	}
	for i := range f.neighbours {
		n := &f.neighbours[i]
		if !n.alive(now) {
			continue
		}
		if n.passes() {
			consider(*n)
		}
		if hearsay && n.names.ID != [32]byte{} && !f.knownBetter(n) {
			consider(Neighbour{Rank: n.names, Heard: n.named})
		}
	}
	return best, ok
}

// knownBetter reports whether we have heard from the bridge that a neighbour names, after
// the neighbour has: what it said itself counts.
func (f *Forwarder) knownBetter(by *Neighbour) bool {
	for i := range f.neighbours {
		if n := &f.neighbours[i]; n.Rank.ID == by.names.ID {
			return !n.Heard.Before(by.named)
		}
	}
	return false
}

// Deadline returns when Tick, or Probe, has something to do, the zero time for never.
func (f *Forwarder) Deadline(now time.Time) time.Time {
	if f.state == Away {
		return time.Time{}
	}
	next := f.sent.Add(ProbeEvery)
	if f.due {
		next = f.sent.Add(answerEvery)
	}
	earlier := func(t time.Time, after time.Duration) {
		if t = t.Add(after); !t.Before(now) && t.Before(next) {
			next = t
		}
	}
	if f.state == Listening {
		earlier(f.since, ListenFor)
	}
	if f.state == Claiming {
		earlier(f.since, silentAfter)
	}
	if rival, ok := f.strongest(now, true); ok {
		earlier(rival.Heard, silentAfter)
	}
	if !f.leaderless.IsZero() {
		earlier(f.leaderless, betterWait)
	}
	if !f.contested.IsZero() {
		earlier(f.contested, silentAfter)
	}
	return next
}

// Probe returns the probe that is to be sent now, false if none is.
func (f *Forwarder) Probe(now time.Time) (p protocol.Probe, ok bool) {
	wait := ProbeEvery
	if f.due {
		wait = answerEvery
	}
	if f.state == Away || !f.sent.IsZero() && now.Before(f.sent.Add(wait)) {
		return p, false
	}
	f.sent, f.due = now, false
	return f.say(now), true
}

// Farewell returns the probe of a bridge that ends, false if it is on no segment.
func (f *Forwarder) Farewell(now time.Time) (p protocol.Probe, ok bool) {
	if f.state == Away {
		return p, false
	}
	p = f.say(now)
	p.State, p.Forwarder, p.Age = protocol.ProbeLeaving, protocol.ProbeRank{}, 0
	return p, true
}

var probeStates = [...]protocol.ProbeState{
	Listening: protocol.ProbeListening, Standby: protocol.ProbeStandby, Claiming: protocol.ProbeClaiming, Forwarding: protocol.ProbeForwarding,
}

// say returns what there is to say.
func (f *Forwarder) say(now time.Time) protocol.Probe {
	p := protocol.Probe{State: probeStates[f.state], Rank: f.rank}
	if f.state == Forwarding {
		return p
	}
	if rival, ok := f.strongest(now, false); ok {
		p.Forwarder, p.Age = rival.Rank, protocol.AgeOf(now.Sub(rival.Heard))
	}
	return p
}
