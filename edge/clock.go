package edge

import (
	"time"

	"hedgerow/internal/timer"
)

const (
	// clockEvery is the watchdog's period (PROTOCOL.md, section 6).
	clockEvery = time.Second
	// clockJump is the difference between two clocks that counts as a jump.
	clockJump = 10 * time.Second
)

// clockWatch compares the wall, monotonic and boot clocks and the machine's
// identity once a second, because a snapshot, a clone or a suspension may have
// taken us back to counters that were used already.
type clockWatch struct {
	next    timer.Timer
	last    time.Time // carries wall and monotonic readings
	boot    time.Duration
	machine string
}

// clockChange is what the watchdog found.
type clockChange uint8

const (
	clockSteady  clockChange = iota
	clockWall                // the wall clock alone jumped: new salts will do
	clockResumed             // suspended, restored or cloned: new sessions too
)

// check compares the clocks with their last reading.
func (w *clockWatch) check(now time.Time, boot func() time.Duration, machine func() string) clockChange {
	last, lastBoot, lastMachine := w.last, w.boot, w.machine
	w.last = now
	if boot != nil {
		w.boot = boot()
	}
	if machine != nil {
		w.machine = machine()
	}
	if last.IsZero() {
		return clockSteady
	}
	elapsed := now.Sub(last) // monotonic
	wall := now.Round(0).Sub(last.Round(0))
	if lastMachine != w.machine || (boot != nil && apart(w.boot-lastBoot, elapsed)) {
		return clockResumed
	}
	if apart(wall, elapsed) {
		return clockWall
	}
	return clockSteady
}

func apart(a, b time.Duration) bool { return a-b > clockJump || b-a > clockJump }

// watchClock acts on a jump: new salts always; after a suspension also a new
// session with everyone, since the old ones' counters may have been used.
func (e *Edge) watchClock(now time.Time) {
	e.chores.clock.next.Set(now.Add(clockEvery))
	e.keys.checkWear(now)
	change := e.chores.clock.check(now, e.cfg.Host.BootClock, e.cfg.Host.Machine)
	if change == clockSteady {
		return
	}
	e.keys.drawSalt(now, true)
	if change == clockResumed {
		e.cfg.Host.Log.Warn("the machine was suspended or restored: renewing all sessions")
		e.servers.connector.restartAll(now)
		e.sessions.renewAll(now)
		e.underlay.NetworkChanged(now)
	}
	e.keys.roll(now)
}
