package attack

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
	"hedgerow/internal/cli"
	"hedgerow/protocol"
)

const (
	// million is how many datagrams of strangers a process has to read.
	million = 1_000_000
	// warmUp of them come before its memory is measured: tables of a fixed size
	// are made when they are needed first.
	warmUp = 50_000
	// growth bounds what more of them may add to its resident memory, in bytes.
	// The tables of a supernode for sessions that were not confirmed hold 16 384
	// for 10 s, but the rate for one address keeps a stranger far below that; the
	// rest is what the collector of garbage may have let lie.
	growth = 12 << 20
	// logBound is how many lines a process may log meanwhile.
	logBound = 3
	// sources is how many addresses each kind of junk comes from.
	sources = 4
	// full is how many bytes may wait in the target's socket before the
	// strangers pause, so that everything they send is read.
	full = 1 << 20
)

// stranger is one address that bothers a target.
type stranger struct {
	conn     *net.UDPConn
	batch    *ipv4.PacketConn
	messages []ipv4.Message
	room     [][]byte
	kind     junkKind
	sent     uint64 // bytes
	received atomic.Uint64
}

// strangers opens a socket at each address of a host.
func strangers(t *testing.T, h *lab.Host) (list []*stranger) {
	t.Helper()
	for i, a := range h.Addrs() {
		conn := lab.Must(h.ListenUDP("udp4", netip.AddrPortFrom(a, 0).String()))
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetReadBuffer(4 << 20); err != nil {
			t.Fatal(err)
		}
		s := &stranger{conn: conn, batch: ipv4.NewPacketConn(conn), kind: junkKind(i % int(junkKinds))}
		for range 64 {
			s.messages = append(s.messages, ipv4.Message{Buffers: make([][]byte, 1)})
			s.room = append(s.room, make([]byte, 2048))
		}
		go func() {
			for b := make([]byte, 2048); ; {
				n, err := conn.Read(b)
				if err != nil {
					return
				}
				s.received.Add(uint64(n))
			}
		}()
		list = append(list, s)
	}
	return list
}

// bother sends one batch of junk.
func (s *stranger) bother(j *junk, to *net.UDPAddr) (int, error) {
	for i := range s.messages {
		b := s.room[i][:copy(s.room[i], j.next(s.kind))]
		s.messages[i].Buffers[0], s.messages[i].Addr = b, to
		s.sent += uint64(len(b))
	}
	for done := 0; done < len(s.messages); {
		n, err := s.batch.WriteBatch(s.messages[done:], 0)
		if err != nil {
			return 0, err
		}
		done += n
	}
	return len(s.messages), nil
}

// target is a process that strangers bother.
type target struct {
	*rig.Program
	addr    netip.AddrPort
	junk    *junk
	dropped func() map[string]uint64
	// silent says that the INITs that it answers with a COOKIE are not among
	// what it counts as dropped.
	silent bool
}

// flood lets strangers send until the target has read n more datagrams.
func (x *target) flood(t *testing.T, list []*stranger, n int) {
	t.Helper()
	to := net.UDPAddrFromAddrPort(x.addr)
	_, lostBefore := queueOf(t, x.Pid(), x.addr.Port())
	for sent := 0; ; {
		for i, s := range list {
			k, err := s.bother(x.junk, to)
			if err != nil {
				t.Fatal(err)
			}
			sent += k
			for i%4 == 0 {
				waiting, lost := queueOf(t, x.Pid(), x.addr.Port())
				if sent >= n+int(lost-lostBefore) && waiting == 0 {
					return
				}
				if waiting < full {
					break
				}
				time.Sleep(pause / 4)
			}
		}
	}
}

// A million datagrams of every kind of junk reach a supernode and an edge. Both
// go on as if nothing had been, hold no more than before, log next to nothing
// and send no stranger more than it sent.
func TestStrangers(t *testing.T) {
	s := newScene(t)
	wire := lab.Must(s.lab.Internet().Capture())
	left := s.join(lab.Must(s.lab.Host("left", "203.0.113.11")), "-l", superAddr, "-p", "7001")
	right := s.join(lab.Must(s.lab.Host("right", "203.0.113.12")), "-l", superAddr, "-p", "7002")
	s.awaitPath(left, right, control.PathDirect)
	w := newStream(t, left, right, elided, 200)
	at := receive(t, right)
	w.send(t, 400)
	at.await(w, 400)
	if err := wire.Stop(); err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for i := range sources * int(junkKinds) {
		addrs = append(addrs, fmt.Sprintf("203.0.113.%d", 100+i))
	}
	list := strangers(t, lab.Must(s.lab.Host("strangers", addrs...)))

	k := s.secrets()
	record := make(map[netip.AddrPort][][]byte)
	for _, d := range datagrams(wire.Packets()) {
		record[d.to] = append(record[d.to], d.payload)
	}
	superAt, rightAt := netip.MustParseAddrPort(superAddr), netip.MustParseAddrPort("203.0.113.12:7002")
	id, _, err := crypto.LoadIdentity(filepath.Join(s.rig.Dir, "right", cli.FileName(communityName), "id"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*target{
		{s.super, superAt, newJunk(1, k, true, k.superKey, record[superAt]), func() map[string]uint64 { return s.superStatus().Drops }, false},
		{right.Program, rightAt, newJunk(2, k, false, id.Static, record[rightAt]), func() map[string]uint64 { return s.drops(right) }, true},
	} {
		t.Run(x.Name, func(t *testing.T) { x.endure(t, list) })
	}
	t.Run("forged", func(t *testing.T) { s.forge(t, right.Program, rightAt, k, id.Static, record[rightAt]) })

	before := len(at.counts(w))
	w.send(t, 1000)
	if seen := at.await(w, before+1000); twice(seen) > 0 {
		t.Errorf("%d frames were delivered twice", twice(seen))
	}
	if _, err := s.rig.AwaitPath(s.ctx, left.Program, "right", control.PathDirect); err != nil {
		t.Error(err)
	}
	late := s.join(lab.Must(s.lab.Host("late", "203.0.113.13")))
	s.awaitPath(late, right, control.PathDirect)
	for _, p := range []*rig.Program{left.Program, right.Program, late.Program, s.super} {
		if err := p.Stop(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// endure floods a target and looks at what it did to it.
func (x *target) endure(t *testing.T, list []*stranger) {
	x.flood(t, list, warmUp)
	time.Sleep(settle)
	for _, s := range list {
		s.sent = 0
		s.received.Store(0)
	}
	before, lines, dropped := vitalsOf(t, x.Pid()), lineCount(x.Log()), x.dropped()
	began := time.Now()
	x.flood(t, list, million)
	took := time.Since(began)
	time.Sleep(settle)
	after, diff := vitalsOf(t, x.Pid()), rig.Grown(dropped, x.dropped())
	t.Logf("%d datagrams read in %v, %.0f a second", million, took.Round(time.Millisecond), million/took.Seconds())
	t.Logf("before: %v\nafter: %v\ndropped: %v", before, after, diff)
	if more := after.resident - before.resident; more > growth {
		t.Errorf("%.1f MiB more are resident", float64(more)/(1<<20))
	}
	if after.files > before.files || after.threads > before.threads+2 {
		t.Errorf("%d more files, %d more threads", after.files-before.files, after.threads-before.threads)
	}
	if n := lineCount(x.Log()) - lines; n > logBound {
		t.Errorf("%d lines were logged:\n%s", n, x.Log())
	}
	byKind := make(map[string][2]uint64)
	for _, s := range list {
		in, out := s.sent, s.received.Load()
		if out > in {
			t.Errorf("%v: %v got %d bytes for %d", s.kind, s.conn.LocalAddr(), out, in)
		}
		sum := byKind[s.kind.String()]
		byKind[s.kind.String()] = [2]uint64{sum[0] + in, sum[1] + out}
	}
	t.Logf("bytes from and to strangers: %v", byKind)
	seen := total(diff)
	if x.silent {
		seen += byKind[junkInit.String()][1] / protocol.CookieLen
	}
	if seen < million*95/100 {
		t.Errorf("only %d of %d datagrams were dropped and counted, or answered", seen, million)
	}
}

// forge sends junk in the name of those that the target knows.
func (s *scene) forge(t *testing.T, p *rig.Program, at netip.AddrPort, k *secrets, static [32]byte, record [][]byte) {
	const forged = 100_000
	spoof := newSpoofer(t, s.lab.Internet().Namespace)
	peer, super := netip.MustParseAddrPort("203.0.113.11:7001"), netip.MustParseAddrPort(superAddr)
	fromPeer, fromSuper := newJunk(3, k, false, static, record), newJunk(4, k, true, static, record)
	before, lines := vitalsOf(t, p.Pid()), lineCount(p.Log())
	for i := range forged {
		from, j := peer, fromPeer
		if i%2 == 0 {
			from, j = super, fromSuper
		}
		if err := spoof.send(from, at, j.next(junkKind(i/2%int(junkKinds)))); err != nil {
			t.Fatal(err)
		}
		for i%64 == 0 {
			if waiting, _ := queueOf(t, p.Pid(), at.Port()); waiting < full {
				break
			}
		}
	}
	time.Sleep(settle)
	after := vitalsOf(t, p.Pid())
	t.Logf("%d forged datagrams\nbefore: %v\nafter: %v", forged, before, after)
	if more := after.resident - before.resident; more > growth {
		t.Errorf("%.1f MiB more are resident", float64(more)/(1<<20))
	}
	if n := lineCount(p.Log()) - lines; n > logBound {
		t.Errorf("%d lines were logged:\n%s", n, p.Log())
	}
}
