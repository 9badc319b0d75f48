package netwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// groups are the multicast groups of rtnetlink(7) whose events may change a
// State, or by which of its routes packets leave.
const groups = unix.RTMGRP_LINK |
	unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
	unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE |
	unix.RTMGRP_IPV4_RULE | 1<<(unix.RTNLGRP_IPV6_RULE-1)

// messageRoom is the room for one datagram of the kernel's, in bytes. A longer
// one, as of an interface with many virtual functions, is not parsed and counts
// as one that matters.
const messageRoom = 8 << 10

// A listener turns the kernel's messages into tokens. A token that was not
// received yet stands for all later messages, so that they need no memory here.
type listener struct {
	file   *os.File
	raw    syscall.RawConn
	events chan struct{} // closed when there will be no more
}

// listen opens a socket for the messages of the thread's network namespace and
// starts the goroutine that reads it, which close ends.
func listen() (*listener, error) {
	l, err := newListener()
	if err != nil {
		return nil, fmt.Errorf("cannot listen for changes of the network: %w", err)
	}
	go l.receive()
	return l, nil
}

// newListener opens the socket only.
func newListener() (*listener, error) {
	l := &listener{events: make(chan struct{}, 1)}
	var err error
	if l.file, err = subscribe(groups); err != nil {
		return nil, err
	}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		_ = l.file.Close()
		return nil, err
	}
	return l, nil
}

// subscribe opens a socket for messages of multicast groups of rtnetlink(7), given as bits.
func subscribe(groups uint32) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}

// close ends the goroutine and has joined it when it returns.
func (l *listener) close() {
	_ = l.file.Close()
	for range l.events { // until receive closes it
	}
}

// receive sends a token for each message that matters until the socket is
// closed.
func (l *listener) receive() {
	listening.Add(1)
	defer close(l.events)
	defer listening.Add(-1)
	buf := make([]byte, messageRoom)
	for {
		var n int
		var fault error
		err := l.raw.Read(func(fd uintptr) bool {
			// With MSG_TRUNC the length is that of the whole datagram.
			n, _, fault = unix.Recvfrom(int(fd), buf, unix.MSG_TRUNC)
			return !errors.Is(fault, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return // closed
		case errors.Is(fault, unix.EINTR):
			continue
		case fault != nil && !errors.Is(fault, unix.ENOBUFS):
			return
		}
		heard.Add(1)
		switch {
		case fault != nil:
			// The kernel had more messages than the socket has room for. The
			// next read of the state shows what they were about.
		case n <= len(buf) && !matters(buf[:n]):
			continue
		}
		select {
		case l.events <- struct{}{}:
		default:
		}
	}
}

// Lengths of struct nlmsghdr (netlink(7)) and the part of struct rtmsg
// (rtnetlink(7)) that is looked at: the family and the prefix length of the
// destination, a byte each.
const (
	headerLen = unix.SizeofNlMsghdr
	rtmsgLen  = 2
)

// matters reports whether a datagram of the kernel's may be about a change of
// the State. It filters routes only: a router that speaks BGP has thousands that
// change each minute, none of them a default route, which has a prefix length of
// 0.
func matters(b []byte) bool {
	for len(b) >= headerLen {
		length := int(binary.NativeEndian.Uint32(b))
		kind := binary.NativeEndian.Uint16(b[4:])
		isRoute := kind == unix.RTM_NEWROUTE || kind == unix.RTM_DELROUTE
		if !isRoute || len(b) < headerLen+rtmsgLen || b[headerLen+1] == 0 {
			return true
		}
		// Messages begin at multiples of four bytes.
		length = (length + 3) &^ 3
		if length < headerLen || length >= len(b) {
			return false
		}
		b = b[length:]
	}
	return len(b) > 0
}
