package transport

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never block, as the socket does not, and so need not tell
// Go's scheduler that they might: RawSyscall6.

// receive reads up to n messages into the first of msgs, which are prepared.
func (u *UDP) receive(msgs []unix.Mmsghdr) (int, syscall.Errno) {
	if !u.noBatch {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(u.fd), uintptr(unsafe.Pointer(unsafe.SliceData(msgs))),
			uintptr(len(msgs)), unix.MSG_DONTWAIT, 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMSG, uintptr(u.fd), uintptr(unsafe.Pointer(&msgs[0].Hdr)), unix.MSG_DONTWAIT, 0, 0, 0)
	msgs[0].Len = uint32(n)
	return 1, errno
}

// transmit sends the first of msgs, and as many behind it as go. The error is
// that of the first.
func (u *UDP) transmit(msgs []unix.Mmsghdr) (int, syscall.Errno) {
	if u.noBatch {
		return 1, u.transmitOne(&msgs[0].Hdr)
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(u.fd), uintptr(unsafe.Pointer(unsafe.SliceData(msgs))),
		uintptr(len(msgs)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// transmitOne sends one message.
func (u *UDP) transmitOne(h *unix.Msghdr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_SENDMSG, uintptr(u.fd), uintptr(unsafe.Pointer(h)), unix.MSG_DONTWAIT, 0, 0, 0)
	return errno
}

// passing recognises errors that concern one datagram sent earlier, or a moment
// without memory, and not the socket.
func passing(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case unix.ECONNREFUSED, unix.ECONNRESET, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN,
		unix.ENOPROTOOPT, unix.EPROTO, unix.EMSGSIZE, unix.EACCES, unix.ETIMEDOUT,
		unix.ENOBUFS, unix.ENOMEM, unix.EINTR, unix.EAGAIN:
		return true
	}
	return false
}

// congested recognises a want of buffers on this host, which ends by itself and
// says nothing about the path.
func congested(errno syscall.Errno) bool {
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EINTR:
		return true
	}
	return false
}
