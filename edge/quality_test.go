package edge

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/path"
)

// pings is a Loss of lost pings and then good ones.
func pings(lost, good int) (l path.Loss) {
	for i := range lost + good {
		l.Add(i >= lost)
	}
	return l
}

// When a direct path is avoided, for how long, and when it is used again.
func TestQuality(t *testing.T) {
	step := struct {
		now time.Time
		q   quality
	}{now: noon}
	sound, lossy, clean := pings(3, 17), pings(4, 16), pings(0, 20)
	for _, tt := range []struct {
		name          string
		direct, relay path.Loss
		after         time.Duration
		avoided       bool
		wait          time.Duration
	}{
		{"nothing is known", path.Loss{}, path.Loss{}, 0, false, 0},
		{"as by chance", sound, clean, time.Second, false, 0},
		{"the relay is hardly known", lossy, pings(0, 19), time.Second, false, 0},
		{"the relay loses as well", lossy, pings(1, 19), time.Second, false, 0},
		{"avoided", lossy, clean, time.Second, true, 30 * time.Second},
		{"good too early", clean, clean, 29 * time.Second, true, 30 * time.Second},
		{"still lossy", pings(2, 18), clean, time.Second, true, time.Minute},
		{"hardly known", pings(0, 19), clean, time.Minute, true, 2 * time.Minute},
		{"used again", pings(1, 19), clean, 2 * time.Minute, false, 2 * time.Minute},
		{"avoided again", lossy, clean, time.Minute, true, 4 * time.Minute},
		{"the relay begins to lose", lossy, pings(1, 19), time.Second, false, 4 * time.Minute},
		{"and again", lossy, clean, time.Minute, true, 8 * time.Minute},
		{"for the longest", lossy, clean, 8 * time.Minute, true, 10 * time.Minute},
		{"good", clean, clean, 10 * time.Minute, false, 10 * time.Minute},
		{"after long", lossy, clean, 10 * time.Minute, true, 30 * time.Second},
	} {
		step.now = step.now.Add(tt.after)
		step.q.judge(step.now, destination(1), tt.direct, tt.relay)
		if q := step.q; q.avoided != tt.avoided || q.wait != tt.wait {
			t.Fatalf("%s: avoided %t, %v, want %t, %v", tt.name, q.avoided, q.wait, tt.avoided, tt.wait)
		}
	}
	step.q.judge(step.now, netip.AddrPort{}, path.Loss{}, path.Loss{})
	if !step.q.avoided {
		t.Error("a path that is given up is forgotten")
	}
	step.q.judge(step.now, destination(2), lossy, pings(0, 19))
	if step.q.avoided {
		t.Error("another path is avoided for what the last one lost")
	}
}
