package integration

import (
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// carrierLifetime is for how long some carriers keep a mapping of UDP.
const carrierLifetime = 10 * time.Second

// A member is idle behind a carrier whose NAT forgets after 10 s: it finds that out, and who
// speaks to it then reaches it within half a second, whatever the carrier does with ports.
func TestForgetfulCarrier(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]lab.Kind{"one port": lab.PortRestricted, "other ports": lab.SymmetricRandom} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, 3*time.Minute)
			left := w.join(w.home("left", 1, kind.Lasting(carrierLifetime)), overIPv4)
			right := w.join(w.home("right", 2, lab.PortRestricted), overIPv4)
			left.addr()
			right.meet(left.addr(), 5*time.Second)
			right.reach(left, control.PathDirect)
			silent := time.Now()
			for left.status().Supernodes[0].KeepaliveS != 8 {
				if time.Since(silent) > 90*time.Second {
					t.Fatalf("it has not found out: %+v", left.status())
				}
				time.Sleep(time.Second)
			}
			time.Sleep(time.Until(silent.Add(35 * time.Second)))
			idle, before := time.Since(silent), right.reach(left, control.PathDirect)
			f := newFlow(right, left, 4000, 200)
			f.send(100, 50)
			late := 0
			missing := f.finish()
			for _, n := range missing {
				if f.due(n).Sub(f.began) > 500*time.Millisecond {
					late++
				}
			}
			t.Logf("%d of %d lost after %v of silence, %d of them later than half a second; the path was %s", len(missing), f.sent, idle.Round(time.Second), late, before.Endpoint)
			if late > 0 {
				t.Errorf("lost later than half a second: %d", late)
			}
		})
	}
}
