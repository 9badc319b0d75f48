package edge

import (
	"context"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/internal/vmgen"
)

const (
	// clockEvery is the watchdog's period (PROTOCOL.md, section 6).
	clockEvery = vmgen.ClockEvery
	// clockRest is its period while no frames pass and the system tells when the clock is
	// set. Nothing is sealed meanwhile but by the control loop, which looks at the clocks
	// before anything else if it has not done so for clockEvery.
	clockRest = vmgen.ClockRest
	// clockJump is how far the wall clock may be set back, or the boot clock lie beside
	// the monotonic one, before it counts as a jump.
	clockJump = 10 * time.Second
)

// clockWatch compares the wall, monotonic and boot clocks and the identities of
// machine and boot once a second, because a snapshot, a clone or a suspension may have
// taken us back to counters that were used already.
type clockWatch struct {
	next    timer.Timer
	last    time.Time // carries wall and monotonic readings
	wall    vmgen.Clock
	boot    time.Duration
	machine string
	told    bool   // the system tells when the wall clock is set
	frames  uint64 // that had passed at the last look
}

// clockChange is what the watchdog found.
type clockChange uint8

const (
	clockSteady  clockChange = iota
	clockWall                // the wall clock alone was set back: new salts will do
	clockResumed             // suspended, restored, cloned, or the clock set forward as after one of these: new sessions too
)

// check compares the clocks with their last readings.
func (w *clockWatch) check(now time.Time, boot func() time.Duration, machine func() string) clockChange {
	last, lastBoot, lastMachine := w.last, w.boot, w.machine
	w.last = now
	if boot != nil {
		w.boot = boot()
	}
	if machine != nil {
		w.machine = machine()
	}
	step := w.wall.Step(now, clockJump)
	if last.IsZero() {
		return clockSteady
	}
	elapsed := now.Sub(last) // monotonic
	switch {
	case step > vmgen.Forward || lastMachine != w.machine || boot != nil && apart(w.boot-lastBoot, elapsed):
		return clockResumed
	case step < -clockJump:
		return clockWall
	}
	return clockSteady
}

func apart(a, b time.Duration) bool { return a-b > clockJump || b-a > clockJump }

// watchClock acts on a jump: new salts always; after a suspension also a new
// session with everyone, since the old ones' counters may have been used.
func (e *Edge) watchClock(now time.Time) {
	total, w := e.data.plane.Totals(), &e.chores.clock
	if frames := total.RxFrames + total.TxFrames; w.told && frames == w.frames {
		w.next.Set(e.underlay.Addresses.Policy().Next(now, clockRest))
	} else {
		w.frames = frames
		w.next.Set(now.Add(clockEvery))
	}
	e.keys.checkWear(now)
	switch e.chores.clock.check(now, e.cfg.Host.BootClock, e.cfg.Host.Machine) {
	case clockWall:
		e.keys.drawSalt(now, true)
		e.keys.roll(now)
	case clockResumed:
		e.cfg.Host.Log.Warn("the machine was suspended or restored, or its clock set forward: renewing all sessions")
		renewEverything(e, now)
	}
}

// glance is watchClock for a loop that does something after a pause.
func glance(e *Edge, now time.Time) {
	if now.Sub(e.chores.clock.last) >= clockEvery {
		e.watchClock(now)
	}
}

// watchSet waits for the system to tell that the wall clock was set.
func watchSet(ctx context.Context, e *Edge) {
	err := e.cfg.Host.Watch.Clock(ctx, func() { e.background.Do(e.watchClock) })
	if err != nil && ctx.Err() == nil {
		e.cfg.Host.Log.Debug("the system does not tell when the clock is set", "err", err)
		e.background.Do(func(now time.Time) {
			e.chores.clock.told = false
			e.watchClock(now)
		})
	}
}

// watchForks waits for the system to tell that this machine was restored or cloned with
// its memory.
func watchForks(ctx context.Context, e *Edge) {
	err := e.cfg.Host.Watch.Forks(ctx, func() {
		e.background.Do(func(now time.Time) {
			e.cfg.Host.Log.Warn("the virtual machine was restored or cloned: renewing all sessions")
			renewEverything(e, now)
		})
	})
	if err != nil && ctx.Err() == nil {
		e.cfg.Host.Log.Debug("the system does not tell when this machine is restored from a snapshot", "err", err)
	}
}

// renewEverything ends sealing under every key that a copy of this machine may seal under, too:
// pair sessions, those that we answered and that are not confirmed yet, hop sessions with
// their RELAY counters, streams, GROUP salts, and handshakes under way. What comes in the
// old sessions is opened until their time is over.
func renewEverything(e *Edge, now time.Time) {
	e.random.reseed()
	e.keys.drawSalt(now, true)
	e.paths.segment.listen(now)
	e.servers.registrar.forked()
	e.servers.connector.renewAll(now)
	e.sessions.renewAll(now)
	e.underlay.NetworkChanged(now)
	e.keys.roll(now)
}
