package integration

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// traffic is a numbered stream in each direction between two members, 50 packets a
// second, while something happens to the path.
type traffic struct {
	t           *testing.T
	left, right *member
	flows       [2]*flow
	done        chan struct{}
}

const (
	trafficRate = 50
	trafficPort = 4800
)

// startTraffic begins to send both ways for some seconds.
func startTraffic(t *testing.T, left, right *member, seconds int) *traffic {
	s := &traffic{t: t, left: left, right: right, done: make(chan struct{})}
	n := seconds * trafficRate
	s.flows = [2]*flow{newFlow(left, right, trafficPort, n), newFlow(right, left, trafficPort+1, n)}
	busy := watchWaits(t, left.Pid(), right.Pid(), left.town.super.Pid())
	s.flows[0].waits, s.flows[1].waits = busy, busy
	go func() {
		defer close(s.done)
		other := make(chan struct{})
		go func() { s.flows[1].send(n, trafficRate); close(other) }()
		s.flows[0].send(n, trafficRate)
		<-other
	}()
	return s
}

// awaitDirect waits until both ends say that the path is direct again, from a
// moment on, and returns how long that took.
func (s *traffic) awaitDirect(from time.Time) time.Duration {
	s.left.reach(s.right, control.PathDirect)
	s.right.reach(s.left, control.PathDirect)
	return machine.since(from)
}

// halt ends the stream before its time.
func (s *traffic) halt() {
	for _, f := range s.flows {
		close(f.halt)
	}
}

// end waits for the end of the stream and returns the longest gap of either
// direction and how many packets were lost.
func (s *traffic) end() (gap time.Duration, lost int) {
	<-s.done
	for _, f := range s.flows {
		lost += len(f.finish())
		gap = max(gap, f.longestGap())
		if f.again > 0 || f.strange > 0 {
			s.t.Errorf("%d came twice, %d are not ours", f.again, f.strange)
		}
	}
	return gap, lost
}

// directPair starts two edges in homes of a kind and waits until they are direct.
func (w *town) directPair(kind lab.Kind, more ...string) (routers [2]*lab.Router, left, right *member) {
	var members [2]*member
	for i, name := range []string{"left", "right"} {
		routers[i] = lab.Must(w.Router("home-"+name, netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}).String(), kind))
		members[i] = w.join(lab.Must(routers[i].Host(name)), overIPv4, more...)
	}
	left, right = members[0], members[1]
	left.addr()
	left.meet(right.addr(), 5*time.Second)
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)
	return routers, left, right
}

const (
	gapAllowed    = 2 * time.Second  // of a stream, whatever happens
	healAllowed   = 10 * time.Second // until the path is direct again after an outage
	changeAllowed = 5 * time.Second  // the same after an address has changed
)

// check fails the test when a stream had too long a gap.
func (s *traffic) check(what string, again, allowed time.Duration) {
	s.t.Helper()
	gap, lost := s.end()
	s.t.Logf("%s: longest gap %v, %d of %d lost, direct again after %v", what, gap.Round(time.Millisecond), lost,
		s.flows[0].sent+s.flows[1].sent, again.Round(time.Millisecond))
	if gap > gapAllowed {
		s.t.Errorf("%s: a gap of %v", what, gap)
	}
	if again > allowed {
		s.t.Errorf("%s: direct again after %v", what, again)
	}
}

// The direct path dies silently, and heals after a while that is longer than the
// first pauses between attempts.
func TestSilentDeath(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	routers, left, right := w.directPair(lab.PortRestricted)
	s := startTraffic(t, left, right, 40)
	time.Sleep(3 * time.Second)
	if err := w.Internet().Cut(routers[0].WAN(), routers[1].WAN()); err != nil {
		t.Fatal(err)
	}
	left.reach(right, control.PathRelay)
	right.reach(left, control.PathRelay)
	time.Sleep(20 * time.Second)
	if err := w.Internet().Heal(routers[0].WAN(), routers[1].WAN()); err != nil {
		t.Fatal(err)
	}
	s.check("silent death", s.awaitDirect(time.Now()), healAllowed)
}

// A NAT forgets every mapping, in the middle of a stream.
func TestNATReboot(t *testing.T) {
	t.Parallel()
	for _, kind := range []lab.Kind{lab.PortRestricted, lab.PortReplacing} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := newTown(t, 60*time.Second)
			routers, left, right := w.directPair(kind)
			s := startTraffic(t, left, right, 12)
			time.Sleep(2 * time.Second)
			if err := routers[0].Reboot(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			s.check("NAT reboot", s.awaitDirect(time.Now()), changeAllowed)
		})
	}
}

// A line gets another address.
func TestRenumbering(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	routers, left, right := w.directPair(lab.PortRestricted)
	s := startTraffic(t, left, right, 15)
	time.Sleep(2 * time.Second)
	to := netip.MustParseAddr("198.51.100.77")
	if err := routers[0].Renumber(to); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	right.await(func(p control.Peer) bool { return p.Path == control.PathDirect && addrOf(p.Endpoint) == to })
	s.check("renumbering", s.awaitDirect(begun), changeAllowed)
}

// A member is carried to another LAN.
func TestRoaming(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	_, left, right := w.directPair(lab.PortRestricted)
	elsewhere := lab.Must(w.Router("elsewhere", "198.51.100.9", lab.PortRestricted, "192.168.7.0/24"))
	s := startTraffic(t, left, right, 15)
	time.Sleep(2 * time.Second)
	begun := time.Now()
	if err := errors.Join(left.Host.Unplug(), elsewhere.Plug(left.Host)); err != nil {
		t.Fatal(err)
	}
	right.await(func(p control.Peer) bool {
		return p.Path == control.PathDirect && addrOf(p.Endpoint) == elsewhere.WAN()
	})
	s.check("roaming", s.awaitDirect(begun), changeAllowed)
}

// addrOf returns the address of an endpoint, zero for none.
func addrOf(endpoint string) netip.Addr {
	a, _ := netip.ParseAddrPort(endpoint)
	return a.Addr()
}

// await waits until the member's only peer is as wanted.
func (m *member) await(wanted func(control.Peer) bool) {
	m.town.t.Helper()
	for {
		peers, err := m.town.Peers(m.town.ctx, m.Program)
		if err == nil && len(peers) == 1 && wanted(peers[0]) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-m.town.ctx.Done():
			m.town.t.Fatalf("%s: %+v", m.Name, peers)
		}
	}
}

// A better path appears: members that are relayed because UDP between them is
// cut become direct when it is not, and not a packet is lost.
func TestPlannedSwitch(t *testing.T) {
	w := newTown(t, 60*time.Second)
	routers, left, right := w.directPair(lab.PortRestricted)
	if err := w.Internet().Cut(routers[0].WAN(), routers[1].WAN()); err != nil {
		t.Fatal(err)
	}
	warm := startTraffic(t, left, right, 5)
	left.reach(right, control.PathRelay)
	right.reach(left, control.PathRelay)
	warm.end()
	s := startTraffic(t, left, right, 12)
	time.Sleep(time.Second)
	if err := w.Internet().Heal(routers[0].WAN(), routers[1].WAN()); err != nil {
		t.Fatal(err)
	}
	again := s.awaitDirect(time.Now())
	if gap, lost := s.end(); lost > 0 {
		t.Errorf("%d lost, longest gap %v, direct after %v", lost, gap, again)
	} else {
		t.Logf("0 of %d lost, longest gap %v, direct after %v", s.flows[0].sent+s.flows[1].sent, gap, again)
	}
}

// A member's process stands still, as on a machine that sleeps, and its line has got
// another address when it goes on.
func TestProcessStandsStill(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	routers, left, right := w.directPair(lab.PortRestricted)
	if err := left.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	right.reach(left, control.PathRelay)
	time.Sleep(10 * time.Second)
	moved := netip.MustParseAddr("198.51.100.77")
	if err := errors.Join(routers[0].Renumber(moved), left.Signal(syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	took := left.meet(right.addr(), gapAllowed)
	for addrOf(right.reach(left, control.PathDirect).Endpoint) != moved && machine.since(begun) < changeAllowed {
		left.meet(right.addr(), gapAllowed)
		time.Sleep(50 * time.Millisecond)
	}
	left.reach(right, control.PathDirect)
	again := machine.since(begun)
	t.Logf("the first ping was answered after %v, direct again after %v", took, again)
	if again > changeAllowed {
		t.Errorf("direct again after %v", again)
	}
}
