package attack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/attack/adversary"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
	"hedgerow/internal/cli"
	"hedgerow/supernode"
)

// What an edge under attack is held to.
const (
	transferRate  = 100e6 / 8 // bytes a second
	attackRate    = 20e6 / 8
	transferLeast = 0.9
	answerWithin  = 100 * time.Millisecond
	memoryMore    = 4 << 20
)

// loaded is an edge with a direct path to another one, by which a transfer goes.
type loaded struct {
	*scene
	edge, third *member
	socket      control.Socket
	moved       atomic.Int64 // bytes of the transfer that have arrived
	slowest     slowest      // answer of the control socket
	pathless    atomic.Int32 // looks that found no direct path
	looks       atomic.Int32
}

// newLoaded makes the edges. more are further arguments of the one that is attacked.
func newLoaded(t *testing.T, s *scene, more ...string) *loaded {
	s.t.Helper()
	static := func(a string) []string { return []string{"-l", superAddr, "-a", "static:" + a + "/24"} }
	l := &loaded{scene: s}
	l.edge = s.join(lab.Must(s.lab.Host("edge", "203.0.113.11")), append(append(static("10.99.0.1"), "-p", "7001"), more...)...)
	l.third = s.join(lab.Must(s.lab.Host("third", "203.0.113.12")), static("10.99.0.2")...)
	s.awaitPath(l.edge, l.third, control.PathDirect)
	l.socket = control.Socket(s.rig.Socket("edge"))
	return l
}

// transfer moves bytes from the edge to the third one by TCP, at a steady rate, until ctx
// ends.
func (l *loaded) transfer(ctx context.Context) {
	listener := lab.Must(l.third.at.Listen("tcp4", netip.AddrPortFrom(l.third.addr, 9000).String()))
	defer listener.Close()
	out := lab.Must(l.edge.at.Dial(ctx, "tcp4", listener.Addr().String()))
	in := lab.Must(listener.Accept())
	var receiving sync.WaitGroup
	receiving.Go(func() {
		defer in.Close()
		for b := make([]byte, 256<<10); ; {
			n, err := in.Read(b)
			l.moved.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	const tick = 2 * time.Millisecond
	b := make([]byte, 64<<10)
	for sent, began := 0, time.Now(); ctx.Err() == nil; time.Sleep(tick) {
		for owed := int(transferRate*time.Since(began).Seconds()) - sent; owed > 0 && ctx.Err() == nil; {
			n, err := out.Write(b[:min(owed, len(b))])
			if err != nil {
				l.t.Error(err)
				return
			}
			sent, owed = sent+n, owed-n
		}
	}
	_ = out.(*net.TCPConn).CloseWrite()
	receiving.Wait()
	out.Close()
}

// watch asks the edge for its state ten times a second until ctx ends. An answer that is
// late because the machine was busy with something else comes in time when it is asked for
// again at once.
func (l *loaded) watch(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		least := time.Hour
		for range 3 {
			began := time.Now()
			peers, err := l.socket.Peers(l.ctx)
			took := time.Since(began)
			least = min(least, took)
			if err != nil {
				l.t.Error(err)
				return
			}
			l.look(peers)
			if took <= answerWithin {
				break
			}
		}
		l.slowest.note(least)
	}
}

// look looks for the path to the third edge.
func (l *loaded) look(peers []control.Peer) {
	l.looks.Add(1)
	for _, p := range peers {
		if p.MAC == l.third.mac.String() && p.Path == control.PathDirect {
			return
		}
	}
	l.pathless.Add(1)
}

// rate returns how many bytes a second arrive in a time.
func (l *loaded) rate(during func()) float64 {
	before, began := l.moved.Load(), time.Now()
	during()
	return float64(l.moved.Load()-before) / time.Since(began).Seconds()
}

// endure attacks the edge while it transfers, and says what that has done.
func (l *loaded) endure(attacker *hostile, lasts time.Duration) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.ctx)
	var going sync.WaitGroup
	going.Go(func() { l.transfer(ctx) })
	time.Sleep(time.Second)
	alone := l.rate(func() { time.Sleep(lasts / 2) })
	going.Go(func() { l.watch(ctx) })
	warm := pour(l.t, time.Second, attackRate, attacker.send) // tables of a fixed size are made when they are needed first
	before, drops := vitalsOf(l.t, l.edge.Pid()), l.drops(l.edge)
	var sent int
	under := l.rate(func() { sent = pour(l.t, lasts, attackRate, attacker.send) })
	after := vitalsOf(l.t, l.edge.Pid())
	cancel()
	going.Wait()
	st := lab.Must(l.rig.Status(l.ctx, l.edge.Program))
	if under < transferLeast*alone || alone < transferLeast*transferRate {
		l.t.Errorf("%.1f Mbit/s alone, %.1f Mbit/s under attack", alone*8/1e6, under*8/1e6)
	}
	if n := l.pathless.Load(); n > 0 {
		l.t.Errorf("%d of %d looks found no direct path", n, l.looks.Load())
	}
	if d := time.Duration(l.slowest.Load()); d > answerWithin {
		l.t.Errorf("the control socket answered after %v", d)
	}
	if n := total(rig.Grown(drops, st.Drops)); n < 1000 {
		l.t.Errorf("%d messages and packets of the attack were refused: it proves nothing", n)
	}
	if more := after.resident - before.resident; more > memoryMore {
		l.t.Errorf("%.1f MiB more are resident", float64(more)/(1<<20))
	}
	l.t.Logf("%.1f Mbit/s for %v (%d bytes at first); transfer %.1f Mbit/s alone, %.1f under attack; %d looks, the control socket's slowest answer after %v",
		float64(sent)*8/1e6/lasts.Seconds(), lasts, warm, alone*8/1e6, under*8/1e6, l.looks.Load(), time.Duration(l.slowest.Load()).Round(time.Microsecond))
	l.t.Logf("before: %v\nafter: %v\ndropped: %v\nnotes: %q", before, after, rig.Grown(drops, st.Drops), st.Notes)
}

// know is what the attackers make their values of.
func (l *loaded) know(k *secrets, static [32]byte) *adversary.Knowledge {
	return &adversary.Knowledge{
		Community: k.community, Self: identityOf("hostile", 1), Supernode: netip.MustParseAddrPort(superAddr), Stranger: netip.MustParseAddrPort("192.0.2.200:4000"),
		Edge:   adversary.Somebody{Static: static, MAC: l.edge.mac, Handle: 1 << 30, Addr: netip.MustParseAddrPort("203.0.113.11:7001")},
		Honest: adversary.Somebody{Static: l.staticOf("third"), MAC: l.third.mac, Handle: 7, Addr: netip.MustParseAddrPort("203.0.113.12:7002")},
	}
}

// staticOf returns the static key of an edge.
func (s *scene) staticOf(name string) [32]byte {
	id, created, err := crypto.LoadIdentity(filepath.Join(s.rig.Dir, name, cli.FileName(communityName), "id"))
	if err != nil || created {
		s.t.Fatalf("the identity of %s: created %v, %v", name, created, err)
	}
	return id.Static
}

// attackTime is how long an edge is attacked.
func attackTime() time.Duration {
	if *whole {
		return time.Minute
	}
	return 4 * time.Second
}

// TestHostileMember: a member sends an edge 20 Mbit/s of everything that a member can
// send, while that one transfers 100 Mbit/s to a third. The transfer keeps 90 % of its
// rate, its path stays, the control socket answers within 100 ms, and the edge's memory
// grows by 4 MiB at most.
//
//	go test ./integration/attack -run "TestHostileMember|TestHostileSupernode" -whole
func TestHostileMember(t *testing.T) {
	s := newSceneFor(t, newLab(t), 4*time.Minute)
	l := newLoaded(t, s)
	k, static := s.secrets(), s.staticOf("edge")
	at := lab.Must(s.lab.Host("hostile", "203.0.113.66"))
	l.endure(newHostileMember(t, at, k, netip.MustParseAddrPort("203.0.113.11:7001"), static, l.know(k, static)), attackTime())
}

// TestHostileSupernode is TestHostileMember with one of the edge's two supernodes in the
// place of the member.
func TestHostileSupernode(t *testing.T) {
	s := newSceneFor(t, newLab(t), 4*time.Minute)
	id := identityOf("hostile supernode", 1)
	at := lab.Must(s.lab.Host("hostile", "203.0.113.77"))
	l := newLoaded(t, s, "-l", fmt.Sprintf("203.0.113.77:7654#%s", supernode.KeyText(id.Static)))
	l.endure(newHostileSupernode(t, at, id, l.know(s.secrets(), s.staticOf("edge"))), attackTime())
}
