package integration

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/supernode/admin"
)

// awaitLink waits until the edge is registered, by a stream or not, and returns
// how long that took from a moment on.
func (m *member) awaitLink(from time.Time, stream bool) time.Duration {
	m.town.t.Helper()
	for {
		s, err := m.town.Status(m.town.ctx, m.Program)
		if err == nil && len(s.Supernodes) == 1 && s.Supernodes[0].State == control.StateRegistered && (s.Supernodes[0].Stream != "") == stream {
			return machine.since(from)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-m.town.ctx.Done():
			m.town.t.Fatalf("%s: %+v, %v", m.Name, s.Supernodes, err)
		}
	}
}

// How long an edge may take to get to its supernode otherwise than by UDP, and
// back.
const (
	blockedAtStart = 3 * time.Second
	blockedLater   = 5 * time.Second
	backToUDP      = 60 * time.Second
)

// joinBlocked starts an edge where UDP is blocked, and returns how long it took until it was
// in over TLS, without what it and the supernode waited for a processor.
func (w *town) joinBlocked(home *lab.Host, more ...string) (took time.Duration, m *member) {
	w.t.Helper()
	begun, busy := time.Now(), waiting(w.super.Pid())
	m = w.join(home, overIPv4, more...)
	took = m.awaitLink(begun, true)
	return took - (waiting(w.super.Pid(), m.Pid()) - busy), m
}

// UDP is blocked at the start, silently or not: the edge is in over TLS within
// 3 s, and reaches another one.
func TestBlockedAtStart(t *testing.T) {
	t.Parallel()
	for _, kind := range []lab.Kind{lab.UDPBlocked, lab.UDPBlockedReject} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w, _, _ := streamTown(t, ":443", ":7654")
			right := w.join(lab.Must(w.Host("right", "203.0.113.9")), overIPv4)
			to := right.addr()
			home := w.home("left", 11, kind)
			took, left := w.joinBlocked(home)
			if took > blockedAtStart {
				t.Errorf("in after %v", took)
			}
			left.addr()
			left.meet(to, 2*time.Second)
			left.reach(right, control.PathRelay)
			t.Logf("in over TLS after %v", took)
		})
	}
}

// The same through what stands between.
func TestBlockedBehindProxies(t *testing.T) {
	t.Parallel()
	w, _, _ := streamTown(t, ":443", ":7654")
	right := w.join(lab.Must(w.Host("right", "203.0.113.9")), overIPv4)
	to := right.addr()
	serveProxy(t, lab.Must(w.Host("proxy", "203.0.113.60")), "203.0.113.60:80", "user", "secret")
	took, left := w.joinBlocked(w.home("left", 11, lab.UDPBlocked), "--http-proxy", "http://user:secret@203.0.113.60:80")
	if took > blockedAtStart {
		t.Errorf("through the proxy after %v", took)
	}
	left.addr()
	left.meet(to, 2*time.Second)
	t.Logf("in through a CONNECT proxy after %v", took)
}

// So it is where the supernode hides behind a web server.
func TestBlockedBehindNginx(t *testing.T) {
	t.Parallel()
	program := lab.Program(t, "nginx", "nginx-light")
	w, _, _ := streamTown(t, "127.0.0.1:8443")
	w.nginx(program)
	right := w.join(lab.Must(w.Host("right", "203.0.113.9")), overIPv4)
	to := right.addr()
	took, left := w.joinBlocked(w.home("left", 11, lab.UDPBlocked))
	if took > blockedAtStart {
		t.Errorf("through nginx after %v", took)
	}
	left.addr()
	left.meet(to, 2*time.Second)
	t.Logf("in through nginx after %v", took)
}

// UDP is blocked in the middle of a stream, and comes back.
func TestBlockedInMidStream(t *testing.T) {
	t.Parallel()
	w, _, _ := streamTownFor(t, 150*time.Second, ":443", ":7654")
	var routers [2]*lab.Router
	var members [2]*member
	for i, name := range []string{"left", "right"} {
		routers[i] = lab.Must(w.Router("home-"+name, netip.AddrFrom4([4]byte{198, 51, 100, byte(11 + i)}).String(), lab.PortRestricted))
		members[i] = w.join(lab.Must(routers[i].Host(name)), overIPv4)
	}
	left, right := members[0], members[1]
	left.addr()
	left.meet(right.addr(), 5*time.Second)
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)
	s := startTraffic(t, left, right, 20)
	time.Sleep(2 * time.Second)
	if err := routers[0].BlockUDP(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	took := left.awaitLink(begun, true)
	gap, lost := s.end()
	t.Logf("UDP blocked: over TLS after %v, longest gap %v, %d lost", took, gap, lost)
	if took > blockedLater || gap > blockedLater {
		t.Errorf("over TLS after %v, a gap of %v", took, gap)
	}

	back := startTraffic(t, left, right, 60)
	time.Sleep(2 * time.Second)
	if err := routers[0].UnblockUDP(); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	took = left.awaitLink(begun, false)
	left.reach(right, control.PathDirect)
	direct := machine.since(begun)
	gap, lost = back.end()
	t.Logf("UDP back: used after %v, direct after %v, longest gap %v, %d lost", took, direct, gap, lost)
	if took > backToUDP || lost > 0 {
		t.Errorf("back on UDP after %v, %d lost", took, lost)
	}
}

// -t is TLS and nothing else.
func TestStreamOnly(t *testing.T) {
	t.Parallel()
	w, _, _ := streamTown(t, ":443", ":7654")
	right := w.join(lab.Must(w.Host("right", "203.0.113.9")), overIPv4)
	to := right.addr()
	left := w.join(lab.Must(w.Host("left", "203.0.113.8")), overIPv4, "-t")
	left.awaitLink(time.Now(), true)
	left.addr()
	left.meet(to, 2*time.Second)
	s := left.status().Supernodes[0]
	if !strings.Contains(s.Stream, "TLS") {
		t.Errorf("%+v", s)
	}
}

// A supernode that is started again takes those back who came by streams, and its
// end is no end of direct paths.
func TestStreamOverRestart(t *testing.T) {
	t.Parallel()
	w, _, _ := streamTownFor(t, 90*time.Second, ":443", ":7654")
	right := w.join(lab.Must(w.Host("right", "203.0.113.9")), overIPv4)
	to := right.addr()
	left := w.join(w.home("left", 11, lab.UDPBlocked), overIPv4)
	left.awaitLink(time.Now(), true)
	left.addr()
	left.meet(to, 2*time.Second)
	if err := w.super.Stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	begun := time.Now()
	if err := w.super.Start(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.await(w.super, "listening on")
	left.meet(to, 10*time.Second)
	t.Logf("relayed again %v after the start", time.Since(begun))
}

// turnTown is a pair that has neither a direct path nor, by choice, a supernode's
// relay.
func turnPair(w *town, more ...string) (left, right *member) {
	w.t.Helper()
	more = append(more, "--no-relay")
	left = w.join(w.home("left", 1, lab.SymmetricRandom), overIPv4, more...)
	right = w.join(w.home("right", 2, lab.SymmetricRandom), overIPv4, more...)
	return left, right
}

// checkTURN has the pair talk, and checks that the supernode relayed none of it.
func checkTURN(w *town, left, right *member) {
	t := w.t
	t.Helper()
	left.addr()
	begun := time.Now()
	left.meet(right.addr(), 20*time.Second)
	first := time.Since(begun)
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)
	before := lab.Must(w.SupernodeStatus(w.ctx, w.super))
	s := startTraffic(t, left, right, 4)
	gap, lost := s.end()
	after := lab.Must(w.SupernodeStatus(w.ctx, w.super))
	if lost > 0 {
		t.Errorf("%d lost, a gap of %v", lost, gap)
	}
	relayed := relayedPackets(after) - relayedPackets(before)
	if relayed > 40 {
		t.Errorf("the supernode relayed %d packets", relayed)
	}
	t.Logf("first answer after %v; 0 of %d lost, longest gap %v; %d control packets by the supernode", first, 2*s.flows[0].sent, gap, relayed)
}

func relayedPackets(s admin.Status) (n uint64) {
	for _, c := range s.Communities {
		n += c.Relayed.Packets
	}
	return n
}

// Our own TURN server carries a pair that nothing else may carry.
func TestTURNOfSupernode(t *testing.T) {
	t.Parallel()
	w := newQuietTown(t, 60*time.Second)
	w.super = lab.Must(w.Rig.Supernode(w.ctx, lab.Must(w.Host("super", superAddr)), "super", "--turn-listen", superAddr+":3478"))
	w.watch(w.super)
	w.await(w.super, "listening on")
	left, right := turnPair(w)
	checkTURN(w, left, right)
}

// coturn starts Debian's TURN server on a host.
func (w *town) coturn(h *lab.Host, address, user, secret string) {
	w.t.Helper()
	program := lab.Program(w.t, "turnserver", "coturn")
	p := lab.Must(w.Run(w.ctx, h, "coturn", "", program, "-n", "-v", "--log-file", "stdout", "--simple-log", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp",
		"--listening-ip", address, "--relay-ip", address, "--listening-port", "3478", "--lt-cred-mech", "--realm", "town",
		"--user", user+":"+secret, "--pidfile", filepath.Join(w.t.TempDir(), "coturn.pid")))
	w.watch(p)
	w.t.Cleanup(func() { w.kill(p) })
	w.await(p, "UDP listener opened on")
}

// So does coturn.
func TestTURNOfCoturn(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	server := lab.Must(w.Host("coturn", "203.0.113.30"))
	w.coturn(server, "203.0.113.30", "somebody", "a-secret")
	left, right := turnPair(w, "--turn", "turn:203.0.113.30:3478?transport=udp", "--turn-user", "somebody", "--turn-secret", "a-secret")
	checkTURN(w, left, right)
}
