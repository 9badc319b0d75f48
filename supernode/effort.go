package supernode

import (
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
)

// What strangers may cost us, in parts of one processor. A bound on how many of them
// are answered would let the first who send too much keep all others out; what we
// cannot do without is the processor's time, and most answers cost so little of it
// that a link of 50 Mbit/s does not use up what there is.
const (
	// handshakeCost is what one handshake takes: five multiplications on Curve25519.
	handshakeCost = 250 * time.Microsecond
	// registerTime is what a REGISTER takes: two signatures, and the tables.
	registerTime = 200 * time.Microsecond
	// workShare is for handshakes of strangers who have shown a cookie, or
	// need none yet: 1000 a second. quietShare is for those of networks that have
	// asked for less than quietBurst since a while, when that is used up: 500. As
	// much of both is for registered edges, and for the REGISTERs of either.
	workShare  = 0.25
	quietShare = 0.125
	quietRate  = 0.5 // a second, of an IPv4 address or IPv6 /64
	quietBurst = 4

	// Of each kind of answer without state: a WELCOME, a STUN response, a RESET.
	answerCost  = 2 * time.Microsecond
	answerShare = 0.2 // 100,000 a second
)

// effortKept is for how long what is not spent is kept: after a restart all edges come
// at once.
const effortKept = 2 * time.Second

// effort is a share of one processor that is spent on strangers.
type effort struct{ spent bucket.Bucket }

// spend takes the time that something costs and reports whether there was as much.
func (e *effort) spend(now time.Time, cost time.Duration, share float64) bool {
	return e.spent.Take(now, cost.Seconds(), share, share*effortKept.Seconds())
}

// workBudget is time for what one kind of senders asks for, with a part for networks
// that ask for little, which the others cannot use up.
type workBudget struct {
	common, reserve effort
	quiet           *bucket.Networks // how little networks ask for
}

func newWorkBudget() workBudget {
	return workBudget{quiet: bucket.NewNetworks(sourceTable)}
}

// spend takes the time that something for a source costs, and reports whether there was
// as much. proved says that the source is not forged.
func (b *workBudget) spend(now time.Time, from netip.Addr, cost time.Duration, proved bool) bool {
	if b.common.spend(now, cost, workShare) {
		return true
	}
	return proved && b.quiet.Take(now, from, quietRate, quietBurst) && b.reserve.spend(now, cost, quietShare)
}

// answers bound the answers of one kind to senders without a session, by the networks
// that they claim to come from and by what all of them cost.
type answers struct {
	networks *bucket.Networks
	effort   effort
}

func newAnswers() answers { return answers{networks: bucket.NewNetworks(sourceTable)} }

// take counts an answer to a source: rate a second and burst at once to an IPv4
// address or IPv6 /64, and as bucket.Networks has it to the networks around it. It
// returns answered, or why there is no answer: bySource when the source has got as
// many as it may, and total when all of them have cost as much as they may.
func (a *answers) take(now time.Time, to netip.Addr, rate, burst float64, bySource, total dropReason) dropReason {
	switch {
	case !a.networks.Take(now, to, rate, burst):
		return bySource
	case !a.effort.spend(now, answerCost, answerShare):
		return total
	}
	return answered
}
