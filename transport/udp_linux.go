package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"hedgerow/internal/waiter"
)

// UDP is a UDP socket for IPv4 and IPv6. Its methods are safe for concurrent
// use; reading and writing do not hinder each other. The descriptor is not in
// Go's network poller: every datagram would wake a second thread there.
type UDP struct {
	fd int
	// only4 is set on a host without IPv6.
	only4   bool
	noBatch bool
	tells   bool // the TOS of what is received
	local   netip.AddrPort

	// life is held for reading while fd is in use, and for writing to close it.
	life    sync.RWMutex
	closing atomic.Bool

	// waiting makes Wait one caller's at a time.
	waiting sync.Mutex
	waiter  *waiter.Files

	in         reader
	out        writer
	notices    *notices
	guard      *guard // of the group, nil for a socket alone
	counters   counters
	readFaults atomic.Uint64
}

// newUDP returns a UDP over a bound descriptor. After an error the caller still
// owns the descriptor.
func newUDP(fd int, only4 bool, opts Options, said *notices) (*UDP, error) {
	local, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("cannot learn the UDP socket's own port: %w", err)
	}
	w, err := waiter.NewFiles(fd)
	if err != nil {
		return nil, err
	}
	if opts.KeepProcessor {
		w.KeepProcessor()
	}
	u := &UDP{fd: fd, only4: only4, noBatch: opts.NoBatch, waiter: w, notices: said}
	switch a := local.(type) {
	case *unix.SockaddrInet6:
		u.local = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).WithZone(opts.Address.Zone()), uint16(a.Port))
	case *unix.SockaddrInet4:
		u.local = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	}
	if err := tellLocal(fd, only4); err != nil {
		said.local(err)
	}
	err = tellTOS(fd, only4)
	if u.tells = err == nil; err != nil {
		said.tos(err)
	}
	if err := allow(opts.NoGRO, fd, unix.UDP_GRO, 1); err != nil {
		said.gro(err)
	}
	// Size 0 changes nothing; a kernel before 4.18 does not know the option.
	err = allow(opts.NoGSO, fd, unix.UDP_SEGMENT, 0)
	if u.out.gso = err == nil; err != nil {
		said.gso(err)
	}
	u.in.init(only4)
	u.out.init(only4, opts.NoBatch)
	return u, nil
}

// errForced stands for the kernel's refusal when an option forces it.
var errForced = errors.New("refused by option")

// allow sets an option of UDP, unless it is refused by force.
func allow(refuse bool, fd, option, value int) error {
	if refuse {
		return errForced
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, option, value)
}

// enter begins the use of the descriptor, or reports that it is at its end.
func (u *UDP) enter() bool {
	u.life.RLock()
	if u.closing.Load() {
		u.life.RUnlock()
		return false
	}
	return true
}

// leave ends the use of the descriptor.
func (u *UDP) leave() { u.life.RUnlock() }

// Wait blocks until ReadBatch may find something: nil. It may be woken for
// nothing. It returns net.ErrClosed after Close, also when it was blocked then.
// A loop that waits for other descriptors besides uses Fd.
func (u *UDP) Wait() error {
	if !u.enter() {
		return net.ErrClosed
	}
	defer u.leave()
	u.waiting.Lock()
	defer u.waiting.Unlock()
	return u.waiter.Wait()
}

// Fd returns the descriptor, for a waiter.Files. It is the socket's: valid until
// Close, and not to be read, written or closed by anybody else.
func (u *UDP) Fd() int { return u.fd }

// LocalAddr returns the socket's port with the address that it is bound to, which is the
// unspecified one without Options.Address.
func (u *UDP) LocalAddr() netip.AddrPort { return u.local }

// TellsTOS reports whether ReadBatch sets Datagram.TOS: the kernel did not refuse to
// tell it.
func (u *UDP) TellsTOS() bool { return u.tells }

// ReadFaults returns how many times a read ended with an error that was passed
// over.
func (u *UDP) ReadFaults() uint64 { return u.readFaults.Load() }

// Counters returns the socket's counters.
func (u *UDP) Counters() Counters { return u.counters.load() }

// Close closes the socket. A blocked Wait returns net.ErrClosed at once; a
// ReadBatch or WriteBatch that runs comes to its end first. Further calls return
// net.ErrClosed.
func (u *UDP) Close() error {
	if u.closing.Swap(true) {
		return net.ErrClosed
	}
	u.waiter.Stop()
	u.life.Lock()
	defer u.life.Unlock()
	if err := errors.Join(unix.Close(u.fd), u.waiter.Close(), u.guard.release()); err != nil {
		return fmt.Errorf("cannot close the UDP socket: %w", err)
	}
	return nil
}
