package integration

import (
	"errors"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// mappingRouter makes a home router that maps ports when it is asked to, and lets
// nobody in otherwise: two NATs with random ports let nobody through.
func (w *town) mappingRouter(name, wan string, more ...string) *lab.Router {
	w.t.Helper()
	program := lab.Program(w.t, "miniupnpd", "miniupnpd-nftables")
	router := lab.Must(w.Router(name, wan, lab.SymmetricRandom, more...))
	daemon := lab.Must(router.Miniupnpd(w.ctx, program, w.t.TempDir()))
	if err := daemon.Start(); err != nil {
		w.t.Fatal(err)
	}
	return router
}

// directBy talks until the path is direct by an address of a router.
func directBy(left, right *member, router *lab.Router) {
	left.town.t.Helper()
	to, begun := right.addr(), time.Now()
	for end := begun.Add(30 * time.Second); time.Now().Before(end) && left.path(right) != control.PathDirect; {
		left.meet(to, 5*time.Second)
		time.Sleep(100 * time.Millisecond)
	}
	left.reach(right, control.PathDirect)
	if p := right.reach(left, control.PathDirect); addrOf(p.Endpoint) != router.WAN() {
		left.town.t.Errorf("by %s", p.Endpoint)
	}
	left.town.t.Logf("direct by the mapped port after %v", time.Since(begun))
}

// directByMapping lets a member behind a router that maps its port talk to one behind
// a router of a kind.
func (w *town) directByMapping(other lab.Kind) {
	w.t.Helper()
	router := w.mappingRouter("home-left", "9.9.9.7")
	left := w.join(lab.Must(router.Host("left")), overIPv4)
	right := w.join(w.home("right", 2, other), overIPv4)
	left.addr()
	directBy(left, right, router)
}

// The router of one side maps the port of its edge.
func TestPortMappingMakesDirect(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	w.directByMapping(lab.SymmetricRandom)
}

// The NAT of the other side gives it ports that are probed on nobody's word.
func TestPortMappingMeetsLowPorts(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	w.directByMapping(lab.LowBlock)
}

// A member is carried from a router that maps no ports to one that does, which is
// asked at once: the next time by the clock would be a minute later and more.
func TestPortMappingAfterRoaming(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	elsewhere := w.mappingRouter("elsewhere", "9.9.9.7", "192.168.7.0/24")
	left := w.join(w.home("left", 1, lab.SymmetricRandom), overIPv4)
	right := w.join(w.home("right", 2, lab.SymmetricRandom), overIPv4)
	left.addr()
	left.meet(right.addr(), 5*time.Second)
	time.Sleep(5 * time.Second) // the first router was asked by every protocol
	if err := errors.Join(left.Host.Unplug(), elsewhere.Plug(left.Host)); err != nil {
		t.Fatal(err)
	}
	left.await(func(p control.Peer) bool { return p.Path != control.PathNone })
	directBy(left, right, elsewhere)
}
