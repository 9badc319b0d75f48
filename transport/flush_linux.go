package transport

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// roomFor is how long a write waits for room at a time, and maxWaits how
	// often in one batch: no longer, as the caller's loop has other things to do
	// and the queue that is full is seconds of a slow link by itself.
	roomFor  = 2 * time.Millisecond
	maxWaits = 4
	// maxDoubts is how many trains the kernel may refuse, without one that it
	// took, before none is tried any more.
	maxDoubts = 2
)

// flush sends the messages that stand there. The kernel stops at a message that
// it refuses; that one is dealt with alone, and the rest goes on behind it.
func (u *UDP) flush() {
	w := &u.out
	for sent := 0; sent < w.n; {
		n, errno := u.transmit(w.messages[sent:w.n])
		switch {
		case errno == 0:
			u.account(w.pieces[sent : sent+n])
			sent += n
		case congested(errno) && u.room(errno):
		default:
			u.failed(sent, errno)
			sent++
		}
	}
	w.n = 0
}

// account counts what one system call has sent.
func (u *UDP) account(pieces []piece) {
	var datagrams, trains uint64
	for i := range pieces {
		p := &pieces[i]
		datagrams += uint64(segments(len(p.payload), p.seg))
		if p.seg > 0 {
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

// room waits until the socket may take more, and reports whether it is worth
// trying. A lack of memory (ENOBUFS) has nothing to wait for but time.
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
	_, _ = unix.Ppoll(fds, &limit, nil) // whatever it says, the next try tells more
	return true
}

// failed deals with a message that was refused.
func (u *UDP) failed(message int, errno syscall.Errno) {
	w := &u.out
	p := &w.pieces[message]
	switch {
	case congested(errno):
		u.drop(p.entry, segments(len(p.payload), p.seg))
	case p.seg > 0 && (errno == unix.EINVAL || errno == unix.EIO):
		u.apart(message, errno)
	default:
		// EMSGSIZE among them, which newer kernels say of a train at once: its
		// datagrams are too long for the link, and the next train may be fine.
		w.refuse(p.entry, errno)
	}
}

// drop gives datagrams of an entry up for want of room.
func (u *UDP) drop(entry, datagrams int) {
	u.out.lose(entry)
	u.counters.dropped.Add(uint64(datagrams))
}

// apart sends the datagrams of a train one by one and learns why the train was
// refused. EINVAL is either datagrams that are too long, which EMSGSIZE then
// says of each, or a kernel that cannot do it, when all of them go: it is
// believed the second time. EIO is a device or a tunnel that cannot do it.
func (u *UDP) apart(message int, errno syscall.Errno) {
	w := &u.out
	p := &w.pieces[message]
	h, vector := &w.messages[message].Hdr, &w.vectors[message]
	if h.SetControllen(p.ttlAlone); p.ttlAlone == 0 {
		h.Control = nil
	}
	whole := true
	for rest := p.payload; len(rest) > 0; {
		one := rest[:min(p.seg, len(rest))]
		rest = rest[len(one):]
		vector.Base = unsafe.SliceData(one)
		vector.SetLen(len(one))
		refusal := u.sendOne(h)
		switch {
		case refusal == 0:
			u.account([]piece{{payload: one}})
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

// doubt records that the kernel refused a train of datagrams which it took one
// by one.
func (u *UDP) doubt(errno syscall.Errno) {
	w := &u.out
	u.counters.gsoRefused.Add(1)
	w.doubts++
	if errno == unix.EIO || w.doubts >= maxDoubts {
		w.gso = false
		u.notices.gso(errno)
	}
}
