package swarm

import (
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
)

const (
	readBatch    = 64
	socketBuffer = 32 << 20 // bytes, so that nothing is lost while a worker waits for a processor
	tick         = time.Millisecond
)

// worker is a socket, and the one goroutine whose some of the edges are.
type worker struct {
	swarm *Swarm
	conn  *net.UDPConn
	in    chan []arrival
	do    chan func()
	edges []*edge
	due   agenda
	guest *adversary.Guest // what all share who are on this goroutine
	flow  traffic          // nil: none
	eager bool             // the flow sends all the time, and nothing is read
}

// arrival is a datagram that came.
type arrival struct {
	edge int
	pkt  []byte
	at   time.Time // when the kernel had it
}

// newWorker opens a socket that hears every address of 127.0.0.0/8.
func newWorker(s *Swarm) (*worker, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		return nil, err
	}
	w := &worker{swarm: s, conn: conn, in: make(chan []arrival, 1024), do: make(chan func(), 4096)}
	w.guest = adversary.NewGuest(adversary.Surroundings{Now: time.Now}, crypto.NewIdentity([32]byte{1}), s.cfg.Key, 0)
	raw, err := conn.SyscallConn()
	if err == nil {
		fault := raw.Control(func(fd uintptr) {
			// What is beyond the system's limit needs a privilege; less is only less.
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
			}
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
		})
		err = errors.Join(err, fault)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

// add makes an edge of this worker.
func (w *worker) add(i int, c *membership) *edge {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i)+1)
	id := crypto.NewIdentity(seed)
	e := &edge{
		worker: w, number: i, community: c, place: -1,
		guest:  w.guest.Another(id, uint32(i)<<8),
		source: unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: address(i).As4()}),
	}
	w.edges = append(w.edges, e)
	return e
}

// Do has the worker's goroutine do something.
func (w *worker) Do(f func()) { w.do <- f }

func (w *worker) close() { _ = w.conn.Close() }

// read hands what comes to the worker's goroutine until the socket is closed.
func (w *worker) read(ctx context.Context) {
	batch := ipv4.NewPacketConn(w.conn)
	messages := make([]ipv4.Message, readBatch)
	for i := range messages {
		messages[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 2048)}, OOB: make([]byte, 64)}
	}
	for {
		n, err := batch.ReadBatch(messages, 0)
		if err != nil {
			return
		}
		list := make([]arrival, 0, n)
		for _, m := range messages[:n] {
			if edge, at, ok := parseControl(m.OOB[:m.NN]); ok {
				list = append(list, arrival{edge: edge, pkt: append([]byte(nil), m.Buffers[0][:m.N]...), at: at})
			}
		}
		select {
		case w.in <- list:
		case <-ctx.Done():
			return
		}
	}
}

// parseControl returns which edge a datagram came for and when, as the kernel tells beside it:
// of the message IP_PKTINFO (ip(7)) an interface and two addresses, of which the second is
// asked for; of SO_TIMESTAMPNS (socket(7)) when the datagram reached the socket. This process
// has as many edges as it has processors for, and may read long afterwards: that is none of the
// supernode's time.
func parseControl(oob []byte) (edge int, at time.Time, ok bool) {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0, time.Time{}, false
		}
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS:
			var t unix.Timespec
			if _, err := binary.Decode(data, binary.NativeEndian, &t); err == nil {
				at = time.Unix(t.Unix())
			}
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			edge, ok = number(netip.AddrFrom4([4]byte(data[8:]))), true
		}
		oob = rest
	}
	return edge, at, ok && !at.IsZero()
}

// run is the worker's goroutine. What has come goes before what is due: an edge that is alone
// on its host has time for both, and all edges here would else be too late for what they are
// answered once there are more repetitions than the worker can make.
func (w *worker) run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if w.flow != nil {
			w.flow.send(time.Now())
		}
		if w.eager {
			w.doDue()
			continue
		}
		select {
		case list := <-w.in:
			w.handle(list)
			continue
		default:
		}
		if w.expire(time.Now()) {
			w.doDue()
			continue
		}
		select {
		case list := <-w.in:
			w.handle(list)
		case f := <-w.do:
			f()
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// doDue does one thing that the worker was asked for, if there is one.
func (w *worker) doDue() {
	select {
	case f := <-w.do:
		f()
	default:
	}
}

// handle hands what has come to whose it is.
func (w *worker) handle(list []arrival) {
	for i := range list {
		if n := list[i].edge; n >= 0 && n < len(w.swarm.edges) && w.swarm.edges[n].worker == w {
			w.swarm.edges[n].handle(&list[i])
		}
	}
}

// expire has the edge act that has been due for longest, and reports whether there was one.
func (w *worker) expire(now time.Time) bool {
	if len(w.due) == 0 || w.due[0].due.After(now) {
		return false
	}
	heap.Pop(&w.due).(*edge).next(now)
	return true
}

// send sends a packet of an edge, unless it could not be made. One that the kernel does not
// take is lost on its way.
func (w *worker) send(e *edge, pkt []byte, err error) {
	if err == nil {
		_, _, _ = w.conn.WriteMsgUDPAddrPort(pkt, e.source, w.swarm.cfg.Supernode)
	}
}

// agenda is what edges wait for, the first in front: a heap (container/heap).
type agenda []*edge

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

// Push is of heap.Interface.
func (a *agenda) Push(x any) {
	x.(*edge).place = len(*a)
	*a = append(*a, x.(*edge))
}

// Pop is of heap.Interface.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last], *a = nil, (*a)[:last]
	e.place = -1
	return e
}
