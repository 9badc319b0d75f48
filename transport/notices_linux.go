package transport

import (
	"log/slog"
	"sync"
)

// notices logs each thing that the kernel refuses once, for a socket or for all
// sockets of a group.
type notices struct {
	log              *slog.Logger
	gsoOnce, groOnce sync.Once
	localOnce        sync.Once
	tosOnce          sync.Once
}

func (n *notices) gso(err error) {
	n.gsoOnce.Do(func() {
		n.log.Warn("the kernel does not take trains of UDP datagrams (UDP_SEGMENT): each is sent by itself, which is slower", "error", err)
	})
}

func (n *notices) gro(err error) {
	n.groOnce.Do(func() {
		n.log.Warn("the kernel does not hand over trains of UDP datagrams (UDP_GRO): each is received by itself, which is slower", "error", err)
	})
}

func (n *notices) tos(err error) {
	n.tosOnce.Do(func() {
		n.log.Warn("the kernel does not tell which ECN mark a datagram came with: the overlay's TCP connections learn of congestion by loss alone", "error", err)
	})
}

func (n *notices) local(err error) {
	n.localOnce.Do(func() {
		n.log.Warn("the kernel does not tell to which address of this host a datagram was sent: on a host with several, answers may leave from another one", "error", err)
	})
}
