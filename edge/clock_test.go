package edge

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"hedgerow/internal/vmgen"
)

// jump sets the wall reading of a time forward and leaves its monotonic one,
// as setting the clock does. Package time offers no way to make such a time,
// so this writes its wall word (33 bits of seconds above 30 of nanoseconds).
func jump(t *testing.T, at time.Time, by time.Duration) time.Time {
	set := at
	word := (*uint64)(unsafe.Pointer(&set))
	const nanoseconds = 1<<30 - 1
	to := at.Round(0).Add(by)
	*word += uint64(to.Unix()-at.Unix()) << 30
	*word = *word&^nanoseconds | uint64(to.Nanosecond())
	if set.Sub(at) != 0 || !set.Round(0).Equal(to) {
		t.Fatal("the layout of time.Time is another one")
	}
	return set
}

// clockReading is what a step of TestClockWatch shows the watchdog.
type clockReading struct {
	elapsed time.Duration // by the monotonic clock
	wall    time.Duration // jump of the wall clock on top, since the last step
	boot    time.Duration // jump of the boot clock on top, since the last step
	machine string
	want    clockChange
}

// TestClockWatch tells a steady clock from one that was set, and both from a
// machine that was suspended, restored or cloned.
func TestClockWatch(t *testing.T) {
	steady := clockReading{elapsed: time.Second, machine: "a"}
	for name, steps := range map[string][]clockReading{
		"steady":           {steady, steady, steady},
		"a busy machine":   {steady, {elapsed: time.Hour, machine: "a"}, steady},
		"a small step":     {steady, {elapsed: time.Second, wall: vmgen.Forward, machine: "a"}, steady},
		"small steps":      {steady, {elapsed: time.Second, wall: vmgen.Forward, machine: "a"}, {elapsed: time.Second, wall: vmgen.Forward, machine: "a"}, steady},
		"restored at once": {steady, {elapsed: time.Second, wall: vmgen.Forward + time.Millisecond, machine: "a", want: clockResumed}, steady},
		"a pause between the two readings": {steady, {elapsed: time.Second, wall: -5 * time.Second, machine: "a"},
			{elapsed: time.Second, wall: 5 * time.Second, machine: "a"}, steady},
		"a pause before": {{elapsed: time.Second, wall: -vmgen.Forward, machine: "a"}, {elapsed: time.Second, wall: 2 * vmgen.Forward, machine: "a"}, steady},
		"set back a little, and forward": {steady, {elapsed: time.Second, wall: -clockJump, machine: "a"}, steady, steady, steady, steady,
			{elapsed: time.Second, wall: time.Second, machine: "a", want: clockResumed}},
		"set forward":   {steady, {elapsed: time.Second, wall: clockJump + time.Second, machine: "a", want: clockResumed}, steady},
		"set back":      {steady, {elapsed: time.Second, wall: -time.Hour, machine: "a", want: clockWall}, steady},
		"a short sleep": {steady, {elapsed: time.Second, wall: time.Second, boot: time.Second, machine: "a", want: clockResumed}, steady},
		"suspended": {steady, {elapsed: time.Second, wall: time.Hour, boot: time.Hour, machine: "a", want: clockResumed},
			steady},
		"restored":       {steady, {elapsed: time.Second, boot: -time.Hour, machine: "a", want: clockResumed}, steady},
		"cloned":         {steady, {elapsed: time.Second, machine: "b", want: clockResumed}, {elapsed: time.Second, machine: "b"}},
		"cloned and set": {steady, {elapsed: time.Second, wall: time.Hour, machine: "b", want: clockResumed}},
	} {
		t.Run(name, func(t *testing.T) {
			var w clockWatch
			now, since := time.Now(), time.Duration(0)
			boot := func() time.Duration { return since }
			machine := "a"
			if got := w.check(now, boot, func() string { return machine }); got != clockSteady {
				t.Fatalf("first reading: %d", got)
			}
			for i, s := range steps {
				now = jump(t, now.Add(s.elapsed), s.wall)
				since += s.elapsed + s.boot
				machine = s.machine
				if got := w.check(now, boot, func() string { return machine }); got != s.want {
					t.Errorf("step %d: %d, want %d", i, got, s.want)
				}
			}
		})
	}
}

// TestClockWatchWithout has neither a boot clock nor a machine identity.
func TestClockWatchWithout(t *testing.T) {
	var w clockWatch
	now := time.Now()
	for i, want := range []clockChange{clockSteady, clockSteady, clockResumed, clockSteady} {
		if want == clockResumed {
			now = jump(t, now, time.Minute)
		}
		now = now.Add(time.Second)
		if got := w.check(now, nil, nil); got != want {
			t.Errorf("step %d: %d, want %d", i, got, want)
		}
	}
}

// An edge that nobody uses looks at its clocks seldom where the system tells when they are
// set: every second while frames pass, at once when it is told or does anything after a
// pause, and every second again when the system tells no more.
func TestClockRests(t *testing.T) {
	e := newEdge(t, func(c *Config) {
		c.Host.Watch.Clock = func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }
	})
	now := noon
	due := func(what string, want time.Duration) {
		t.Helper()
		if want == clockRest { // with all else that is done then
			want = e.underlay.Addresses.Policy().Next(now, clockRest).Sub(now)
		}
		if in := e.chores.clock.next.At().Sub(now); in != want {
			t.Errorf("%s: looks after %v, not %v", what, in, want)
		}
	}
	pass := func(d time.Duration) {
		now = now.Add(d)
		e.tick(now)
	}
	due("at first", clockEvery)
	pass(clockEvery)
	due("without frames", clockRest)
	at := e.chores.clock.last
	pass(clockEvery - 1)
	if e.chores.clock.last != at {
		t.Error("it looks twice within a second")
	}
	pass(clockEvery)
	if e.chores.clock.last != now {
		t.Error("it does something after a pause and does not look")
	}
	e.chores.clock.frames++ // it was another number at the last look
	pass(clockEvery)
	due("with a frame", clockEvery)
	pass(clockEvery)
	due("without frames again", clockRest)
	e.chores.clock.told = false
	pass(e.underlay.Addresses.Policy().Next(now, clockRest).Sub(now))
	due("untold", clockEvery)
}
