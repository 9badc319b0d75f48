package underlay

import (
	"net/netip"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/nat/address"
)

// lifetimes are what NATs are told apart by, the kindest first: a mapping that survives so
// long without a packet is kept by one every keepalive, +-10 %. RFC 4787, REQ-5, wants 2
// minutes; home routers have 30 s and more, some carriers 10 s.
var lifetimes = [...]struct{ survives, keepalive time.Duration }{
	{23 * time.Second, 20 * time.Second},
	{14 * time.Second, 12 * time.Second},
	{9 * time.Second, 8 * time.Second},
}

// What a mapping was found to survive is an index of lifetimes, or one of these.
const (
	survivesUnknown = -1
	survivesNone    = len(lifetimes)
)

// Times of measurements (docs/NAT.md, "How long a mapping lives").
const (
	lifetimeAgain  = 5 * time.Minute // after one that found less than is usual or nothing, doubling
	lifetimeRarely = time.Hour       // at most, and where all is as usual
	lifetimePause  = time.Minute     // between the beginnings of two
	cautious       = 90 * time.Second
	doubtful       = 10 * time.Minute
)

// Lifetime learns for how long our NATs keep a mapping that carries nothing, and says how
// often packets have to pass. It has a supernode send to a further socket that was silent
// for a while (RFC 5780, section 4.6), so that the mapping of the data socket is never at
// stake. As long as nothing is known packets pass often.
type Lifetime struct {
	cfg      *Config
	policy   *address.Policy // has the result, for paths
	server   netip.AddrPort  // is asked; not valid: nobody can be
	survives int             // an index of lifetimes, survivesNone or survivesUnknown
	doubted  bool            // it is not known because a port has changed
	running  bool
	stale    bool          // the measurement under way is of the network before
	began    time.Time     // when the last one did
	wait     time.Duration // after it
	measure  timer.Timer
	relax    timer.Timer // set while packets pass often because nothing is known
}

func newLifetime(cfg *Config, a *Addresses) *Lifetime {
	l := &Lifetime{cfg: cfg, policy: &a.policy, survives: survivesUnknown}
	l.policy.Keepalive = lifetimes[0].keepalive
	l.measure = timer.New(cfg.Timers, "measure the lifetime of mappings", l.begin)
	l.relax = timer.New(cfg.Timers, "end caution about mappings", l.relaxed)
	a.moved = l.moved
	return l
}

// Keepalive returns how often a packet has to pass a flow which is in no use so that our
// NATs keep its mapping: 8 to 20 s.
func (l *Lifetime) Keepalive() time.Duration { return l.policy.Keepalive }

// Short reports whether that was measured to be more often than is usual.
func (l *Lifetime) Short() bool { return l.survives > 0 }

// known reports whether that was measured.
func (l *Lifetime) known() bool { return l.survives != survivesUnknown }

// Ask has a supernode asked from now on. It is called with where one has registered us; an
// address of IPv6 or of a stream is not used.
func (l *Lifetime) Ask(now time.Time, server netip.AddrPort) {
	server = address.Unmap(server)
	if IsSide(server) || !server.Addr().Is4() || !l.cfg.Transports.sockets() {
		return
	}
	l.server = server
	if !l.known() && !l.running && !l.measure.IsSet() {
		l.measure.Set(now)
	}
}

// start is careful until something is known.
func (l *Lifetime) start(now time.Time) {
	if l.cfg.Transports.sockets() {
		l.hurry(now, cautious)
	}
}

// hurry has packets pass often for a time, or until more is known.
func (l *Lifetime) hurry(now time.Time, d time.Duration) {
	l.survives = survivesUnknown
	l.policy.Keepalive = lifetimes[len(lifetimes)-1].keepalive
	l.relax.Set(now.Add(d))
}

// relaxed ends the caution: nothing could be measured.
func (l *Lifetime) relaxed(time.Time) {
	l.relax.Stop()
	l.doubted = false
	l.policy.Keepalive = lifetimes[0].keepalive
}

// assumed returns for how long we take it that a mapping lives: while packets pass often
// for caution, which not all do, a mapping that has ended after more than the shortest of
// lifetimes is what caution is for, and nothing new.
func (l *Lifetime) assumed() time.Duration {
	for _, t := range lifetimes {
		if t.keepalive == l.policy.Keepalive {
			return t.survives
		}
	}
	return 0
}

// again measures after a time, but not soon after the last one.
func (l *Lifetime) again(now time.Time, in time.Duration) {
	at := now.Add(in)
	if least := l.began.Add(lifetimePause); !l.began.IsZero() && at.Before(least) {
		at = least
	}
	l.measure.Set(at)
}

// forget begins anew: this host's network has changed.
func (l *Lifetime) forget(now time.Time) {
	l.stale, l.doubted, l.wait = l.running, false, 0
	l.start(now)
	l.again(now, time.Second)
}

// moved notes that a server sees us at another port than so long ago, and nothing of ours
// has changed. Perhaps the mapping has ended in between, though we sent often enough for
// what is taken for its life. It may have been a restart of the router.
func (l *Lifetime) moved(now time.Time, since time.Duration) {
	worst := l.survives >= len(lifetimes)-1
	if worst || since > l.assumed() {
		return
	}
	l.cfg.Log.Debug("our external port has changed", "after", since)
	l.stale, l.doubted, l.wait = l.running, true, 0
	l.hurry(now, doubtful)
	l.again(now, 0)
}

// begin measures in the background.
func (l *Lifetime) begin(now time.Time) {
	if l.running || !l.server.IsValid() {
		return
	}
	l.running, l.began = true, now
	run := lifetimeRun{cfg: l.cfg, server: l.server, began: now}
	l.cfg.Loop.Go(run.do(l.measured))
}

// measured notes what a measurement found.
func (l *Lifetime) measured(now time.Time, survives int) {
	l.running = false
	if l.stale {
		l.stale = false
		l.again(now, 0)
		return
	}
	before := l.policy.Keepalive
	switch {
	case survives != survivesUnknown:
		if survives != l.survives {
			l.wait = 0
		}
		l.survives, l.doubted = survives, false
		l.relax.Stop()
		l.policy.Keepalive = lifetimes[min(survives, len(lifetimes)-1)].keepalive
	case !l.known() && !l.doubted:
		l.relaxed(now)
	}
	l.cfg.Log.Debug("measured for how long a mapping lives", "survives", survives, "keepalive", l.policy.Keepalive, "before", before)
	l.wait = min(max(2*l.wait, lifetimeAgain), lifetimeRarely)
	if l.survives == 0 {
		l.wait = lifetimeRarely
	}
	l.again(now, l.wait+l.cfg.Jitter(l.wait/10))
}
