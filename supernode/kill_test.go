package supernode

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
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
	panic(s.Run(context.Background()))
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
		port, kill := startKilled(t, dir)
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

// startKilled starts a supernode as a process of its own.
func startKilled(t *testing.T, dir string) (port uint16, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killedChild+"="+dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	if _, err := fmt.Fscan(out, &port, new(string)); err != nil {
		kill()
		t.Fatalf("it does not start: %v, %s", err, &said)
	}
	return port, kill
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
