package path

import (
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/pmtu"
)

// nomination sends pings as large as data to a remote that answered small ones (RFC
// 8445, section 8, nominates for the same end). Small packets often pass where large
// ones die silently; a path like that would connect and then carry nothing. How much
// more the path carries is found by its pmtu.Discovery, once it is in use.
type nomination struct {
	remote *remote // nil: none
	round  int
	next   time.Time // of its next round; zero without a nomination
	best   int       // bytes of the largest IP packet that came back
}

// nominationRounds is how often sizes are tried: the full one alone, then twice all
// of them.
const nominationRounds = 3

// runs reports whether a remote is nominated.
func (n *nomination) runs() bool { return n.remote != nil }

// begin nominates r, unless another remote is nominated.
func (n *nomination) begin(now time.Time, r *remote) {
	if !n.runs() {
		*n = nomination{remote: r, next: now}
	}
}

// answered notes the size of an IP packet that came back, 0 for a small one, and
// reports whether as much came back as is wanted.
func (n *nomination) answered(size, full int) bool {
	n.best = max(n.best, size)
	return size > 0 && n.best >= full
}

// verdict is the result of a poll of a nomination.
type verdict uint8

const (
	undecided verdict = iota
	carriesData
	carriesTooLittle
)

// poll sends the pings of the next round, or returns the result of all rounds.
func (n *nomination) poll(now time.Time, s *prober) verdict {
	switch {
	case !n.runs() || now.Before(n.next):
		return undecided
	case n.round > 1 && n.best > 0:
		return carriesData
	case n.round == nominationRounds:
		return carriesTooLittle
	}
	for size := range pmtu.Sizes(s.fullSize(n.remote)) {
		s.check(now, n.remote, size, 0)
		if n.round == 0 {
			break
		}
	}
	n.round++
	n.next = now.Add(n.remote.rtt.timeout())
	return undecided
}

// pollNomination goes on with the nomination, and selects the remote or drops it.
func (p *Machine) pollNomination(now time.Time) {
	r := p.nomination.remote
	switch p.nomination.poll(now, &p.prober) {
	case carriesData:
		p.selectRemote(now, r, p.nomination.best)
	case carriesTooLittle:
		r.failed = now
		p.nomination = nomination{}
		p.report(now, "answers small packets, large ones get lost", r)
	}
}

// considerNominating nominates r when it is the first to answer, when the direct
// path is in doubt or leads through a TURN server and this one does not, or when it
// is better by enough.
func (p *Machine) considerNominating(now time.Time, r *remote) {
	s := &p.selection
	switch {
	case !s.exists():
		if r.kind == address.KindTURN && p.attempt.running() {
			return // a path without a TURN server goes first: see finish
		}
	case s.viaTURN() && r.kind != address.KindTURN, s.suspect():
	case now.Sub(s.heart.since) >= switchEvery && r.better(s.remote):
	default:
		return
	}
	p.nomination.begin(now, r)
	p.report(now, "answered", r)
}
