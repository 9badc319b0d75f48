package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many datagrams one system call moves at most.
const batchSize = 64

// message is struct mmsghdr of recvmmsg(2): a message, and its length.
type message struct {
	header unix.Msghdr
	length uint32
}

// batch is the memory of one sendmmsg or recvmmsg call.
type batch struct {
	bodies   [batchSize][]byte
	vectors  [batchSize]unix.Iovec
	messages [batchSize]message
}

// newBatch makes a batch of datagrams of a size.
func newBatch(size int) *batch {
	b := &batch{}
	memory := make([]byte, batchSize*size)
	for i := range b.bodies {
		b.bodies[i] = memory[i*size:][:size:size]
		b.vectors[i].Base = &b.bodies[i][0]
		b.vectors[i].SetLen(size)
		b.messages[i].header.Iov = &b.vectors[i]
		b.messages[i].header.SetIovlen(1)
	}
	return b
}

// send sends the first count datagrams over a connected socket and returns how
// many of them it could send before an error.
func (b *batch) send(fd, count int) (int, error) {
	return b.call(unix.SYS_SENDMMSG, fd, count, 0)
}

// receive waits for at least one datagram, or for the time limit of the socket,
// and takes what is there. The length of datagram i is messages[i].length.
func (b *batch) receive(fd int) (int, error) {
	return b.call(unix.SYS_RECVMMSG, fd, batchSize, unix.MSG_WAITFORONE)
}

func (b *batch) call(number uintptr, fd, count, flags int) (int, error) {
	n, _, errno := unix.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&b.messages[0])), uintptr(count), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
