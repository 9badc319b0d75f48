package underlay

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"hedgerow/internal/timer"
)

// Every reason has a name of its own.
func TestRefusalNames(t *testing.T) {
	names := make(map[string]bool)
	for r := range Refusals {
		if r.String() == "" || names[r.String()] {
			t.Errorf("reason %d has the name %q", r, r)
		}
		names[r.String()] = true
	}
}

// What has a default need not be given: no log, no counters, the system's resolver.
func TestDefaults(t *testing.T) {
	loop := &heldLoop{}
	u := New(Config{
		Loop: loop, Timers: new(timer.Queue), Observer: deafObserver{},
		Own: OwnAddresses{Interfaces: func() ([]netip.Addr, error) { return nil, errors.New("none") }},
	})
	u.Start(time.Now(), nil)
	u.STUN.Answered(time.Now(), addr("192.0.2.1:3478"), []byte("nonsense"))
	if u.cfg.Resolver == nil || loop.goroutines != 0 {
		t.Errorf("%d goroutines were started", loop.goroutines)
	}
}

// Nothing is allocated for a refusal that is only counted.
func TestRefuseAllocs(t *testing.T) {
	u := New(Config{Timers: new(timer.Queue), Observer: deafObserver{}})
	if n := testing.AllocsPerRun(100, func() {
		u.cfg.refuse(RefusedSTUNAnswer, addr2, nil)
		u.cfg.debugFrom("text", addr2, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var addr2 = addr("192.0.2.2:2")

// heldLoop runs nothing.
type heldLoop struct{ goroutines int }

func (l *heldLoop) Go(func(ctx context.Context)) { l.goroutines++ }
func (l *heldLoop) Do(func(now time.Time))       {}

// deafObserver is told nothing that these tests need.
type deafObserver struct{ Observer }

func (deafObserver) CandidatesChanged(time.Time) {}
