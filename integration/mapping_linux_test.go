package integration

import (
	"os/exec"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// Two NATs with random ports let nobody through, unless the router of one side
// maps the port of its edge when it is asked to.
func TestPortMappingMakesDirect(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("miniupnpd")
	if err != nil {
		t.Skip("miniupnpd is not installed (Debian: miniupnpd-nftables)")
	}
	w := newTown(t, 60*time.Second)
	router := lab.Must(w.Router("home-left", "9.9.9.7", lab.SymmetricRandom))
	daemon := lab.Must(router.Miniupnpd(w.ctx, program, t.TempDir()))
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	left := w.join(lab.Must(router.Host("left")), overIPv4)
	right := w.join(w.home("right", 2, lab.SymmetricRandom), overIPv4)
	left.addr()
	to := right.addr()
	begun := time.Now()
	for end := begun.Add(30 * time.Second); time.Now().Before(end) && left.path(right) != control.PathDirect; {
		left.meet(to, 5*time.Second)
		time.Sleep(100 * time.Millisecond)
	}
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)
	if p := right.reach(left, control.PathDirect); addrOf(p.Endpoint) != router.WAN() {
		t.Errorf("by %s", p.Endpoint)
	}
	t.Logf("direct by the mapped port after %v", time.Since(begun))
}
