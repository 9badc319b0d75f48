package transport

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxRead is the most messages that one system call reads.
const maxRead = 64

// reader is the state of recvmmsg, allocated once.
type reader struct {
	mu       sync.Mutex
	nameLen  uint32
	messages [maxRead]unix.Mmsghdr
	vectors  [maxRead]unix.Iovec
	names    [maxRead]sockaddr
	controls [maxRead]control
	// last is the address that the raw form was turned into last: senders come
	// in runs.
	lastRaw sockaddr
	last    netip.AddrPort
	told    told
	zones   zones
}

// told is what control messages were read as last.
type told struct {
	raw   control
	n     int // bytes of raw
	seg   int
	local netip.Addr
	tos   uint8
}

// init ties each message to its name, vector and control.
func (r *reader) init(only4 bool) {
	r.nameLen = sockaddrLen(only4)
	for i := range r.messages {
		h := &r.messages[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.vectors[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&r.controls[i]))
	}
}

// ReadBatch reads datagrams that have arrived into ds, one datagram or train
// (Seg) into each entry, with one system call, and returns how many entries it
// filled: 0 when there is nothing to read, 64 at most. It never blocks.
//
// The kernel joins datagrams of one sender into trains of up to 64 KiB, unless
// Options.NoGRO is set. It cuts off what does not fit into Buf, so every Buf
// should have ReadBufferLen bytes.
//
// Errors that the network reports about datagrams sent earlier (a closed port,
// an unreachable host) end nothing and are counted in ReadFaults. After Close
// ReadBatch returns net.ErrClosed; after any other error the socket is of no
// more use.
func (u *UDP) ReadBatch(ds []Datagram) (n int, err error) {
	if len(ds) == 0 {
		return 0, nil
	}
	if !u.enter() {
		return 0, net.ErrClosed
	}
	defer u.leave()
	r := &u.in
	r.mu.Lock()
	defer r.mu.Unlock()
	ds = ds[:min(len(ds), maxRead)]
	if u.noBatch {
		ds = ds[:1]
	}
	for faults := 1; faults <= maxFaults; faults++ {
		r.prepare(ds)
		n, errno := u.receive(r.messages[:len(ds)])
		switch {
		case errno == 0:
			u.collect(ds[:n])
			return n, nil
		case errno == unix.EAGAIN:
			return 0, nil
		case !passing(errno):
			return 0, fmt.Errorf("cannot read from the UDP socket: %w", errno)
		}
		u.readFaults.Add(1)
		breathe(faults)
	}
	return 0, nil
}

// prepare points the messages at the caller's buffers, and resets the lengths
// that the kernel overwrote.
func (r *reader) prepare(ds []Datagram) {
	for i := range ds {
		h := &r.messages[i].Hdr
		h.Namelen = r.nameLen
		h.SetControllen(int(unsafe.Sizeof(control{})))
		r.vectors[i].Base = unsafe.SliceData(ds[i].Buf)
		r.vectors[i].SetLen(len(ds[i].Buf))
	}
}

// collect turns the messages read into datagrams, and counts them.
func (u *UDP) collect(ds []Datagram) {
	r := &u.in
	var datagrams, trains uint64
	for i := range ds {
		m, d := &r.messages[i], &ds[i]
		d.N, d.Seg, d.TTL = int(m.Len), 0, 0
		d.Addr = r.from(&r.names[i])
		said := r.said(r.controls[i].bytes()[:min(int(m.Hdr.Controllen), len(r.controls[i].bytes()))])
		if d.Local, d.TOS = said.local, said.tos; said.seg < d.N {
			d.Seg = said.seg
		}
		datagrams += uint64(segments(d.N, d.Seg))
		if d.Seg > 0 {
			trains++
		}
	}
	u.counters.reads.Add(1)
	u.counters.messages.Add(uint64(len(ds)))
	u.counters.datagrams.Add(datagrams)
	if trains > 0 {
		u.counters.trains.Add(trains)
	}
}

// from returns the sender's address, which is mostly that of the datagram
// before.
func (r *reader) from(raw *sockaddr) netip.AddrPort {
	if *raw != r.lastRaw || !r.last.IsValid() {
		r.lastRaw, r.last = *raw, raw.addrPort(&r.zones)
	}
	return r.last
}

// said returns what control messages say, which are mostly those of the datagram before.
func (r *reader) said(raw []byte) *told {
	t := &r.told
	if !bytes.Equal(raw, t.raw.bytes()[:t.n]) {
		said := parseControl(raw)
		t.n, t.seg, t.local, t.tos = copy(t.raw.bytes()[:], raw), said.seg, said.local.addr(&r.zones), said.tos
	}
	return t
}
