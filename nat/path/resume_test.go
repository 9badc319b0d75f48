package path

import (
	"testing"
	"time"

	"hedgerow/nat/address"
)

// TestResume goes on with a direct path: frames go there alone, and it is pinged at once and
// given up as any other.
func TestResume(t *testing.T) {
	at := at("203.0.113.7:4000")
	p := newTestPath()
	if d := Leave(p, epoch); d.Addr.IsValid() {
		t.Fatalf("there is no direct path: %+v", d)
	}
	d := Direct{Addr: at, Kind: address.KindHost, RTT: 20 * time.Millisecond, MTU: 1400, Idle: time.Second}
	Resume(p, epoch, d)
	if r := p.Route(); r.Direct != at || r.Relay || r.MTU != 1400 || r.State != StateDirect || r.RTT != 20*time.Millisecond {
		t.Errorf("the route is %+v", r)
	}
	if again := Leave(p, epoch); again != d {
		t.Errorf("%+v goes over, and came as %+v", again, d)
	}
	pinged, now := 0, epoch
	for range 100 {
		pinged += len(p.Poll(now).Probes)
		if next := p.Deadline(); next.After(now) {
			now = next
		}
		if !p.Route().Direct.IsValid() {
			break
		}
	}
	if p.Route().Direct.IsValid() || pinged < maxMissed || now.Sub(epoch) > 3*time.Second {
		t.Errorf("after %v and %d pings without an answer: %+v", now.Sub(epoch), pinged, p.Route())
	}
	for _, bad := range []Direct{{}, {Addr: at, MTU: 20}} {
		p := newTestPath()
		if Resume(p, epoch, bad); p.Route().Direct.IsValid() {
			t.Errorf("%+v is taken", bad)
		}
	}
}
