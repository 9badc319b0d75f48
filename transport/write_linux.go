package transport

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxWrite is the most messages that one system call sends.
	maxWrite = 64
)

// writer is the state of sendmmsg, allocated once, and of the batch that is
// being sent.
type writer struct {
	mu sync.Mutex
	// gso says that the kernel accepts trains, and doubts how many it refused
	// since the last that it accepted, though their datagrams were not too long.
	gso    bool
	doubts int

	messages [maxWrite]unix.Mmsghdr
	vectors  [maxWrite]unix.Iovec
	controls [maxWrite]control
	pieces   [maxWrite]piece
	n, limit int // messages queued, and how many may be

	destinations
	result result
	waits  int // of this batch, for room
	poll   [1]unix.PollFd
}

// destinations are the addresses of a batch as the kernel reads them.
type destinations struct {
	only4 bool
	// names is a ring: the name of the last address stays when the messages were
	// sent, and the queued messages have at most one each.
	names [maxWrite + 1]sockaddr
	name  int // in names: of last
	last  netip.AddrPort
	zones zones
}

// A piece is the content of one message: a datagram, or a train whose seg is not
// 0, of one entry of the batch.
type piece struct {
	entry  int
	seg    int
	pinned int // bytes of the control message with the local address, which is first; 0: none
	alone  int // bytes of all control messages but the segment size, which is last
}

// result is the outcome of a batch.
type result struct {
	refused *WriteError
	// lost counts entries that were not sent whole. lastLost and lastRefused are
	// the newest of them, as an entry may be several messages.
	lost, lastLost, lastRefused int
}

// init ties each message to its vector and control.
func (w *writer) init(only4, noBatch bool) {
	w.only4, w.limit = only4, maxWrite
	if noBatch {
		w.limit = 1
	}
	for i := range w.messages {
		h := &w.messages[i].Hdr
		h.Namelen = sockaddrLen(only4)
		h.Iov = &w.vectors[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&w.controls[i]))
	}
}

// WriteBatch sends every entry of ds, many with one system call and a train
// (Seg) as one message where the kernel cuts it (UDP_SEGMENT), and returns how
// many entries were sent whole. An entry that the network refuses does not stop
// the batch; it is reported in a *WriteError at the end. For a train that means
// that one or more of its datagrams were not sent.
//
// While the socket's buffer is full it waits, a few milliseconds a call.
// Datagrams that then find no room are dropped and counted in Counters, not
// reported: they say nothing about the path. After Close it returns
// net.ErrClosed.
//
// A datagram with a TTL on a system that cannot set one is refused with
// errors.ErrUnsupported, as it would do harm with the usual TTL; Linux can, for
// both families on every socket.
func (u *UDP) WriteBatch(ds []Datagram) (n int, err error) {
	if len(ds) == 0 {
		return 0, nil
	}
	if !u.enter() {
		return 0, net.ErrClosed
	}
	defer u.leave()
	w := &u.out
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits, w.result = 0, result{lastLost: -1, lastRefused: -1}
	for i := range ds {
		u.put(i, &ds[i])
	}
	u.flush()
	n = len(ds) - w.result.lost
	if w.result.refused != nil { // a nil *WriteError in an error would not be nil
		return n, w.result.refused
	}
	return n, nil
}

// put makes messages of one entry of the batch, and sends when there is no room
// for more.
func (u *UDP) put(entry int, d *Datagram) {
	w := &u.out
	if errno := w.address(d.Addr); errno != 0 {
		u.flush() // so that the refused ones come in the order of the batch
		w.refuse(entry, errno)
		return
	}
	e := w.envelope(d)
	for rest := d.Payload(); ; {
		length, seg := len(rest), d.Seg
		switch {
		case seg <= 0 || seg >= length:
			seg = 0
		case !w.gso || 2*seg > MaxTrainBytes:
			length, seg = seg, 0
		default:
			length = min(length, seg*min(MaxTrainDatagrams, MaxTrainBytes/seg))
		}
		e.seg = seg
		w.message(entry, rest[:length], &e)
		if w.n == w.limit {
			u.flush()
		}
		if rest = rest[length:]; len(rest) == 0 {
			return
		}
	}
}

// address encodes a destination unless it is the previous one. The errno says
// why this socket cannot reach it.
func (w *writer) address(to netip.AddrPort) syscall.Errno {
	if to == w.last && to.IsValid() {
		return 0
	}
	switch {
	case !to.IsValid() || to.Port() == 0:
		return unix.EDESTADDRREQ
	case w.only4 && !to.Addr().Unmap().Is4():
		return unix.ENETUNREACH // the sentence of a host without IPv6
	}
	w.name = (w.name + 1) % len(w.names)
	w.names[w.name].put(to, w.only4, &w.zones)
	w.last = to
	return 0
}

// envelope returns what goes with the messages of an entry, but for the segment size.
func (w *writer) envelope(d *Datagram) (e envelope) {
	four := d.Addr.Addr().Is4() || d.Addr.Addr().Is4In6()
	e.ttl, e.tos, e.four = d.TTL, d.TOS, four
	if d.Local.IsValid() && d.Local.Is4() == four {
		if e.local = d.Local; e.local.Zone() != "" {
			e.ifindex = w.zones.index(e.local.Zone())
		}
	}
	return e
}

// message queues a message.
func (w *writer) message(entry int, payload []byte, e *envelope) {
	h, v := &w.messages[w.n].Hdr, &w.vectors[w.n]
	h.Name = (*byte)(unsafe.Pointer(&w.names[w.name]))
	v.Base = unsafe.SliceData(payload)
	v.SetLen(len(payload))
	pinned, alone, all := w.controls[w.n].put(e)
	h.SetControllen(all)
	w.pieces[w.n] = piece{entry: entry, seg: e.seg, pinned: pinned, alone: alone}
	w.n++
}

// unpin has a refused message leave from the address that the kernel chooses, if it was
// to leave from another one that this host does not have any more, or that leads nowhere.
// It reports whether another try is worth it.
func (w *writer) unpin(message int, errno syscall.Errno) bool {
	h, p := &w.messages[message].Hdr, &w.pieces[message]
	if p.pinned == 0 {
		return false
	}
	switch errno {
	case unix.EINVAL, unix.EADDRNOTAVAIL, unix.ENETUNREACH, unix.ENODEV:
		all := int(h.Controllen)
		copy(w.controls[message].bytes()[:], w.controls[message].bytes()[p.pinned:all])
		h.SetControllen(all - p.pinned)
		p.pinned, p.alone = 0, p.alone-p.pinned
		return true
	}
	return false
}

// refuse records that the network refused something of an entry.
func (w *writer) refuse(entry int, err error) {
	w.lose(entry)
	if r := &w.result; entry != r.lastRefused {
		r.refused, r.lastRefused = r.refused.add(entry, err), entry
	}
}

// lose records that an entry was not sent whole.
func (w *writer) lose(entry int) {
	if r := &w.result; entry != r.lastLost {
		r.lost, r.lastLost = r.lost+1, entry
	}
}
