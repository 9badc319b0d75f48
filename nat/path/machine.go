package path

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/address"
)

// Machine decides how traffic to one peer travels, and finds and keeps a direct
// path. One goroutine drives it: inputs as they come, Poll after every input and at
// Deadline. It holds at most 20 addresses and 256 outstanding pings.
//
// The state is not stored but follows from the parts: a selected remote or none,
// pings missed on it, a nomination, an attempt.
type Machine struct {
	prober     prober
	remotes    remotes
	usage      usage
	attempt    attempt
	hardNAT    hardNAT
	recheck    recheck
	nomination nomination
	selection  selection
	reported   reported
}

// New returns the path to a peer with which a session is up, by the relayed path
// at first. Policy and budget are those of the edge, and the policy says how long
// payloads and pings are; random gives nonces and jitter, and is used only within
// calls. A nonce is no secret, since it travels inside the session, but must not
// repeat.
func New(policy *address.Policy, budget *address.Budget, random rand.Source) *Machine {
	if policy.Payload <= 0 || policy.PingLen <= 0 {
		panic("path: a policy without the lengths of payloads and pings")
	}
	p := &Machine{prober: prober{policy: policy, budget: budget, random: random}}
	p.reported.route = p.Route()
	return p
}

// Output tells the caller of Poll what to do.
type Output struct {
	// Probes belong to the Machine and are valid until its next Poll.
	Probes []Probe
	// WantPunch asks for a PUNCH message to a supernode, which then tells
	// both ends when to begin, and for a CALL to the peer, which leads to
	// Arrange.
	WantPunch bool
	// Changed says that Route differs from the last Poll in anything but its
	// RTT and Seen.
	Changed bool
	// Transitions are the changes of the state since the last Poll, the oldest
	// first: each begins in the state in which the one before ended.
	Transitions []Transition
}

// Poll returns what the caller is to do now. Between two deadlines it does nothing
// and allocates nothing.
func (p *Machine) Poll(now time.Time) Output {
	var out Output
	if p.reported.wakeAt.IsZero() || now.Before(p.reported.wakeAt) {
		return out
	}
	p.prober.out = p.prober.out[:0]
	if p.selection.exists() && !now.Before(p.selection.keptUntil(p.usage)) {
		p.letGo()
		p.report(now, noTraffic, nil)
	}
	active := p.usage.active(now)
	if fault := p.selection.pollHeartbeat(now, &p.prober); fault == "" {
		p.report(now, "left a ping unanswered", p.selection.remote)
	} else {
		p.giveUp(now, fault)
	}
	p.pollNomination(now)
	if !p.selection.pollSize(now, active, &p.prober) {
		p.giveUp(now, "carries small packets only")
	}
	if p.selection.wantsBetter(now, active) && !p.attempt.running() {
		p.attempt.compare(now, &p.remotes, p.selection.remote)
		p.schedule()
	}
	p.hardNAT.poll(now, p.selection.exists(), &p.prober)
	p.recheck.poll(now, p.remotes.list, !p.selection.exists() && active, p.attempt.running(), &p.prober)
	p.pollAttempt(now, &out)
	p.reported.wakeAt = deadline.Earliest(p.attempt.deadline(p.nomination.runs()), p.recheck.next,
		p.hardNAT.deadline(), p.nomination.next, p.selection.deadline(p.usage))
	out.Probes = p.prober.out
	out.Transitions, out.Changed = p.reported.poll(p.Route())
	return out
}

// Deadline returns when Poll has something to do next, the zero time for not
// before the next input. It costs nothing.
func (p *Machine) Deadline() time.Time { return p.reported.wakeAt }

// noTraffic is why a path goes idle.
const noTraffic = "no traffic for 10 minutes"

// letGo ends everything: nothing is sent until the next use.
func (p *Machine) letGo() {
	p.selection, p.nomination, p.attempt, p.recheck = selection{}, nomination{}, attempt{}, recheck{}
	p.hardNAT.stop()
	p.prober.pings, p.prober.out = nil, nil
	p.remotes.stopPlans()
}

// Refusals returns the refusals since the path began, counted by reason.
func (p *Machine) Refusals() Refusals { return p.prober.refusals }

// Sockets returns how many sockets of its own the path needs open now, each with
// a mapping of its own, numbered from 1 (Probe.Socket). All of them stay open
// until the number has fallen to 0 again, since the two ends may select different
// ones, and then those whose address Knows has.
func (p *Machine) Sockets() int {
	if !p.hardNAT.running() {
		return 0
	}
	return p.hardNAT.sockets
}

// Loss returns how many of the last heartbeats over the direct path were answered;
// the zero value without one.
func (p *Machine) Loss() Loss { return p.selection.heart.loss }

// Remotes returns the addresses at which the peer may be.
func (p *Machine) Remotes() Remotes { return Remotes{&p.remotes} }

// Knows reports whether an address is one at which the peer may be.
func (p *Machine) Knows(a netip.AddrPort) bool { return p.remotes.find(address.Unmap(a)) != nil }

// Times of traffic.
const (
	activeFor = 15 * time.Second // after traffic, while a silent death must be found at once
	keepFor   = 10 * time.Minute // after traffic; then the path is let go
)

// usage is when a unicast frame last went to the peer or came from it; zero never.
type usage struct{ last time.Time }

// active reports whether there was traffic within 15 s.
func (u usage) active(now time.Time) bool { return !u.last.IsZero() && now.Sub(u.last) < activeFor }

// wanted reports whether there was traffic recently enough to look for a direct
// path.
func (u usage) wanted(now time.Time) bool { return !u.last.IsZero() && now.Sub(u.last) < keepFor }
