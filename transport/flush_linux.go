package transport

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// roomFor is how long a write waits for room in the socket's buffer at a
	// time, and maxWaits how often in one batch. Longer waits would stop the
	// caller's loop, and a full buffer holds seconds of a slow path already.
	roomFor  = 2 * time.Millisecond
	maxWaits = 4
	// maxDoubts is how many trains in a row the kernel may refuse before no
	// further train is tried.
	maxDoubts = 2
)

// flush sends the queued messages. The kernel stops at a message that it
// refuses; flush handles that one alone and goes on with the next.
func (u *UDP) flush() {
	w := &u.out
	for sent := 0; sent < w.n; {
		n, errno := u.transmit(w.messages[sent:w.n])
		switch {
		case errno == 0:
			u.account(w.vectors[sent:sent+n], w.pieces[sent:sent+n])
			sent += n
		case congested(errno) && u.room(errno), w.unpin(sent, errno):
		default:
			u.failed(sent, errno)
			sent++
		}
	}
	w.n = 0
}

// account counts the messages that one system call sent.
func (u *UDP) account(vectors []unix.Iovec, pieces []piece) {
	var datagrams, trains uint64
	for i := range pieces {
		datagrams += uint64(segments(int(vectors[i].Len), pieces[i].seg))
		if pieces[i].seg > 0 {
			trains++
		}
	}
	u.counters.writes.Add(1)
	u.counters.messagesOut.Add(uint64(len(pieces)))
	u.counters.datagramsOut.Add(datagrams)
	if trains > 0 {
		u.counters.trainsOut.Add(trains)
		u.out.doubts = 0
	}
}

// room waits until the socket may accept more, and reports whether another try
// is worth it. After ENOBUFS there is no event to wait for: it waits for some
// time.
func (u *UDP) room(errno syscall.Errno) bool {
	w := &u.out
	if w.waits >= maxWaits {
		return false
	}
	w.waits++
	u.counters.waits.Add(1)
	w.poll[0] = unix.PollFd{Fd: int32(u.fd), Events: unix.POLLOUT}
	fds := w.poll[:]
	if errno != unix.EAGAIN {
		fds = nil
	}
	limit := unix.NsecToTimespec(int64(roomFor))
	_, _ = unix.Ppoll(fds, &limit, nil) // the next transmit shows whether there is room
	return true
}

// failed deals with a message that was refused.
func (u *UDP) failed(message int, errno syscall.Errno) {
	w := &u.out
	p := &w.pieces[message]
	switch {
	case congested(errno):
		u.drop(p.entry, segments(int(w.vectors[message].Len), p.seg))
	case p.seg > 0 && (errno == unix.EINVAL || errno == unix.EIO):
		u.apart(message, errno)
	default:
		// EMSGSIZE is among them. Newer kernels return it for a train at once:
		// its datagrams are longer than the interface's MTU, and the next train
		// may be shorter.
		w.refuse(p.entry, errno)
	}
}

// drop counts datagrams of an entry that are lost for want of room.
func (u *UDP) drop(entry, datagrams int) {
	u.out.lose(entry)
	u.counters.dropped.Add(uint64(datagrams))
}

// apart sends the datagrams of a train one by one and learns why the kernel
// refused the train. EINVAL means either that the datagrams are too long, and
// then each fails with EMSGSIZE, or that the kernel cannot cut trains, and then
// each is sent: the second such EINVAL counts. EIO means that a device or a
// tunnel cannot cut trains.
func (u *UDP) apart(message int, errno syscall.Errno) {
	w := &u.out
	p := &w.pieces[message]
	h, vector := &w.messages[message].Hdr, &w.vectors[message]
	h.SetControllen(p.alone)
	whole := true
	for rest := unsafe.Slice(vector.Base, vector.Len); len(rest) > 0; {
		one := rest[:min(p.seg, len(rest))]
		rest = rest[len(one):]
		vector.Base = unsafe.SliceData(one)
		vector.SetLen(len(one))
		refusal := u.sendOne(h)
		switch {
		case refusal == 0:
			u.account([]unix.Iovec{*vector}, []piece{{}})
			continue
		case congested(refusal):
			u.drop(p.entry, 1)
		default:
			w.refuse(p.entry, refusal)
		}
		if whole = false; refusal == unix.EMSGSIZE {
			return // the others are as long
		}
	}
	if whole || errno == unix.EIO {
		u.doubt(errno)
	}
}

// sendOne sends one message and waits for room where that helps.
func (u *UDP) sendOne(h *unix.Msghdr) syscall.Errno {
	for {
		errno := u.transmitOne(h)
		if !congested(errno) || !u.room(errno) {
			return errno
		}
	}
}

// doubt records that the kernel refused a train but sent its datagrams one by
// one.
func (u *UDP) doubt(errno syscall.Errno) {
	w := &u.out
	u.counters.gsoRefused.Add(1)
	w.doubts++
	if errno == unix.EIO || w.doubts >= maxDoubts {
		w.gso = false
		u.notices.gso(errno)
	}
}
