package supernode

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/nat/stun"
	"hedgerow/transport"
)

// script is a socket that receives what it is told to, and notes what is asked
// of it.
type script struct {
	*recorder
	reads []int // datagrams of each ReadBatch; the last one is followed by the end
	calls []string
}

func (c *script) ReadBatch(ds []transport.Datagram) (int, error) {
	if len(c.reads) == 0 {
		return 0, net.ErrClosed
	}
	n := c.reads[0]
	c.reads = c.reads[1:]
	for i := range ds[:n] {
		ds[i].N = copy(ds[i].Buf, stun.AppendRequest(nil, [12]byte{byte(i)}))
		ds[i].Addr, ds[i].Seg = address(i), 0
	}
	c.calls = append(c.calls, fmt.Sprint("read ", n))
	return n, nil
}

func (c *script) WriteBatch(ds []transport.Datagram) (int, error) {
	c.calls = append(c.calls, fmt.Sprint("write ", len(ds)))
	return len(ds), nil
}

func (c *script) Wait() error {
	c.calls = append(c.calls, "wait")
	return nil
}

func TestSleepsOnlyWhenNothingIsLeft(t *testing.T) {
	r := newRig(t, Config{})
	conn := &script{recorder: r.conn, reads: []int{0, 8, 3, 0, 0, 1}}
	r.s.sockets.conn = conn
	if err := r.s.readDatagrams(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	want := []string{"read 0", "wait", "read 8", "write 8", "read 3", "write 3", "read 0", "wait", "read 0", "wait", "read 1", "write 1"}
	if !slices.Equal(conn.calls, want) {
		t.Errorf("%q", conn.calls)
	}
	if got := r.s.Counters(); got.Sleeps != 3 || got.ReceivedTrains[0] != 12 || got.SentTrains[0] != 12 {
		t.Errorf("%+v", got)
	}
}

// listen opens a socket of the loopback network for the time of a test.
func listen(t *testing.T, opts transport.Options) (*transport.UDP, netip.AddrPort) {
	t.Helper()
	conn, err := transport.ListenUDP(0, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), conn.LocalAddr().Port())
}

// TestTrainOverTheLoopback relays a train between sockets of the kernel, with
// all that it offers and with each of it refused.
func TestTrainOverTheLoopback(t *testing.T) {
	for name, opts := range map[string]transport.Options{
		"all": {}, "no GSO": {NoGSO: true}, "no GRO": {NoGRO: true}, "no batch": {NoGSO: true, NoGRO: true, NoBatch: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			c := testCommunity("c", "k")
			a, b := r.edge(c, "a", 1), r.edge(c, "b", 2)
			var from, to *transport.UDP
			from, a.addr = listen(t, transport.Options{})
			to, b.addr = listen(t, transport.Options{})
			a.join()
			b.join()
			conn, server := listen(t, opts)
			r.s.sockets.conn = conn
			ended := make(chan error, 1)
			go func() { ended <- r.s.readDatagrams() }()

			const count, size = 40, 1400
			train := transport.Datagram{Buf: make([]byte, count*size), N: count * size, Addr: server, Seg: size}
			a.fill(train.Buf, size, b.ack.Handle)
			if _, err := from.WriteBatch([]transport.Datagram{train}); err != nil {
				t.Fatal(err)
			}
			got := receive(t, to, b.addr, count)
			if handles, _ := b.unwrap(got); len(handles) != count || slices.ContainsFunc(handles, func(h uint32) bool { return h != a.ack.Handle }) {
				t.Errorf("%d of %d packets from %v", len(handles), count, handles)
			}
			_ = conn.Close()
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			counters := r.s.Counters()
			if counters.Socket == nil || counters.Socket.DatagramsOut != count || len(counters.Drops) != 0 {
				t.Errorf("%+v", counters)
			}
			if name == "all" && counters.Socket.Trains > 0 && counters.Socket.MessagesOut > counters.Socket.Messages {
				t.Errorf("trains were taken apart: %+v", *counters.Socket)
			}
		})
	}
}

// receive reads n datagrams, which it takes for sent to the address to.
func receive(t *testing.T, conn *transport.UDP, to netip.AddrPort, n int) (got []sent) {
	t.Helper()
	defer time.AfterFunc(10*time.Second, func() { _ = conn.Close() }).Stop()
	in := []transport.Datagram{{Buf: make([]byte, transport.ReadBufferLen)}}
	for len(got) < n {
		read, err := conn.ReadBatch(in)
		if read == 0 && err == nil {
			err = conn.Wait()
		}
		if err != nil {
			t.Fatalf("%d of %d datagrams: %v", len(got), n, err)
		}
		for i := range in[:read] {
			for pkt := range packets(&in[i]) {
				got = append(got, sent{to: to, pkt: slices.Clone(pkt)})
			}
		}
	}
	return got
}
