package supernode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/transport"
)

// killedChild names the state directory of the supernode that the test binary is, if it is
// one.
const killedChild = "SUPERNODE_KILLED_CHILD"

// killedRotates is set where that supernode changes its key all the time.
const killedRotates = "SUPERNODE_KILLED_ROTATES=1"

// TestMain lets the test binary stand in for a supernode that can be killed.
func TestMain(m *testing.M) {
	dir := os.Getenv(killedChild)
	if dir == "" {
		os.Exit(m.Run())
	}
	conn, err := transport.ListenUDP(0, transport.Options{})
	if err != nil {
		panic(err)
	}
	s, err := New(Config{Conn: conn, StateDir: dir, Limits: Limits{InitRate: 1e6}})
	if err != nil {
		panic(err)
	}
	fmt.Println(conn.LocalAddr().Port(), KeyText(s.Key()))
	if slices.Contains(os.Environ(), killedRotates) {
		go rotateForEver(s)
	}
	panic(s.Run(context.Background()))
}

// rotateForEver gives a supernode a new key and ends the one before, again and again, and says
// what is done, and the key.
func rotateForEver(s *Server) {
	for {
		if err := s.Rotate(); err == nil {
			fmt.Println("rotated", KeyText(s.Key()))
		} else if !errors.Is(err, ErrRotated) {
			panic(err)
		}
		if err := s.EndRotation(false); err != nil {
			panic(err)
		}
		fmt.Println("ended", KeyText(s.Key()))
	}
}

// told is what edges were told before a supernode was killed.
type told struct {
	mu   sync.Mutex
	acks map[protocol.MAC]protocol.Ack
}

// TestKilledWhileEdgesRegister kills a supernode while edges register, again and again,
// and compares what they were told with what is in the state directory. Nothing is
// missing, and nothing is another's.
func TestKilledWhileEdgesRegister(t *testing.T) {
	dir := t.TempDir()
	all := told{acks: make(map[protocol.MAC]protocol.Ack)}
	for round := range 3 {
		before := len(all.acks)
		_, port, kill := startKilled(t, dir)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var workers sync.WaitGroup
		for worker := range 6 {
			workers.Go(func() { all.register(ctx, t, round, worker, port, dir) })
		}
		for n := before; n < before+40 && ctx.Err() == nil; time.Sleep(time.Millisecond) {
			all.mu.Lock()
			n = len(all.acks)
			all.mu.Unlock()
		}
		kill()
		cancel()
		workers.Wait()
		if n := len(all.acks) - before; n < 40 {
			t.Errorf("round %d: %d edges registered", round, n)
		}
		r := newRig(t, Config{StateDir: copyState(t, dir)})
		missing := 0
		for mac, ack := range all.acks {
			reg := r.s.registry.byHandle[ack.Handle]
			if reg == nil || reg.mac != mac || reg.lease != ack.Lease || reg.community.byAddr[ack.Lease.Addr()] != reg {
				missing++
			}
		}
		if missing > 0 || r.s.Status().SetAside != "" {
			t.Errorf("round %d: of %d registrations that edges were told of %d are not there; set aside %q", round, len(all.acks), missing, r.s.Status().SetAside)
		}
	}
}

// TestKilledWhileItRotates kills a supernode while it changes its key, again and again. The
// key that was said last is its own at the next start, or the former one where it had begun to
// take another; it is never one that edges have no way from, and nothing is damaged.
func TestKilledWhileItRotates(t *testing.T) {
	dir := t.TempDir()
	for round := range 6 {
		out, _, kill := startKilled(t, dir, killedRotates)
		var did, key string
		for range 1 + round {
			if _, err := fmt.Fscan(out, &did, &key); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(round) * time.Millisecond / 2) // another step each time
		did, key = lastSaid(kill(), did, key)
		var log bytes.Buffer
		r := newRig(t, Config{StateDir: copyState(t, dir), Log: slog.New(slog.NewTextHandler(&log, nil))})
		keys := &r.s.sockets.keys
		own := KeyText(keys.own.identity.Static) == key
		former := keys.former != nil && KeyText(keys.former.identity.Static) == key
		if !own && !(did == "ended" && former) || strings.Contains(log.String(), "level=WARN") {
			t.Errorf("round %d: after %q: it is its own key %v, its former %v; log %s", round, did, own, former, &log)
		}
	}
}

// lastSaid returns the last whole line of two words of what a supernode has said, or those of
// before.
func lastSaid(rest, did, key string) (string, string) {
	lines := strings.Split(rest, "\n")
	for _, line := range lines[:len(lines)-1] {
		if words := strings.Fields(line); len(words) == 2 {
			did, key = words[0], words[1]
		}
	}
	return did, key
}

// startKilled starts a supernode as a process of its own. Its output goes on behind its
// port, and kill returns what is left of that.
func startKilled(t *testing.T, dir string, env ...string) (out io.Reader, port uint16, kill func() string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), killedChild+"="+dir), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceValue(func() string {
		_ = cmd.Process.Kill()
		rest, _ := io.ReadAll(pipe)
		_ = cmd.Wait()
		return string(rest)
	})
	t.Cleanup(func() { kill() })
	if _, err := fmt.Fscan(pipe, &port, new(string)); err != nil {
		kill()
		t.Fatalf("it does not start: %v, %s", err, &said)
	}
	return pipe, port, kill
}

// register has new edges register by a socket of their own, one after another, until the
// supernode answers no more.
func (a *told) register(ctx context.Context, t *testing.T, round, worker int, port uint16, dir string) {
	id, err := LoadIdentity(dir)
	if err != nil {
		t.Error(err)
		return
	}
	for n := 0; ctx.Err() == nil; n++ {
		// Loopback has networks enough for each edge to come from one of its own.
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(1 + round*8 + worker), byte(n), 1}), 0)
		conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(from), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
		if err != nil {
			t.Error(err)
			return
		}
		r := &rig{t: t, s: &Server{cfg: Config{Identity: id}, sockets: &sockets{keys: serverKeys{own: &serverKey{identity: id}}}}}
		e := r.edge(storedCommunity(), strings.Join([]string{t.Name(), fmt.Sprint(round), fmt.Sprint(worker), fmt.Sprint(n)}, "/"), 1)
		ack, ok := e.joinBySocket(ctx, conn)
		_ = conn.Close()
		if !ok {
			continue
		}
		a.mu.Lock()
		a.acks[e.mac] = ack
		a.mu.Unlock()
	}
}

// joinBySocket is join over a socket. ok is false if no ACK came in time.
func (e *fakeEdge) joinBySocket(ctx context.Context, conn *net.UDPConn) (ack protocol.Ack, ok bool) {
	buf := make([]byte, protocol.MaxDatagram)
	exchange := func(pkt []byte) []byte {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := conn.Write(pkt); err != nil {
			return nil
		}
		n, err := conn.Read(buf)
		if err != nil || ctx.Err() != nil {
			return nil
		}
		return bytes.Clone(buf[:n])
	}
	i, pkt := e.initiate(nil)
	resp := exchange(pkt)
	if resp == nil || len(resp) == protocol.CookieLen || !e.finish(i, resp) {
		return ack, false
	}
	for pkt := exchange(e.seal(e.request())); pkt != nil; pkt = exchange(nil) {
		for _, a := range e.open([]sent{{to: e.addr, pkt: pkt}}) {
			if a.typ == protocol.MsgAck {
				ack, err := protocol.ParseAck(a.value)
				return ack, err == nil
			}
		}
	}
	return ack, false
}
