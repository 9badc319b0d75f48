package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"syscall"
	"time"
)

// DefaultBuffer is the size of a socket's buffers in bytes when Options names
// none: about 30 ms of 1 Gbit/s, for the bursts that arrive while the process
// sleeps.
const DefaultBuffer = 4 << 20

// Options of a UDP socket. The zero value is ready to use.
type Options struct {
	// RecvBuffer and SendBuffer are the sizes of the kernel's buffers in bytes,
	// zero for DefaultBuffer. They are a wish: without privilege the kernel caps
	// them silently (Linux: net.core.rmem_max and wmem_max).
	RecvBuffer int
	SendBuffer int
	// Address is the one address of this host that the socket is bound to, which may have
	// a zone. Not valid, or the unspecified one of IPv6: every address. The unspecified
	// one of IPv4: every IPv4 address.
	Address netip.Addr
	// Binding keeps the socket's datagrams to a part of this host's network.
	Binding Binding
	// KeepProcessor makes Wait of a Linux socket answer sooner while traffic flows,
	// at the price of one more of Go's processors: see waiter.Files. It is for one
	// loop that lives as long as the process.
	KeepProcessor bool
	// NoGSO sends trains datagram by datagram, NoGRO receives no trains, and
	// NoBatch moves one message with each system call. They are for tests and
	// for comparisons: where the system cannot do better it happens anyway, and
	// other systems than Linux never can.
	NoGSO, NoGRO, NoBatch bool
	// Log gets one warning about each thing that the kernel refuses and that
	// makes the socket slower. Nil discards the warnings.
	Log *slog.Logger
}

// withDefaults returns the options with everything filled in.
func (o Options) withDefaults() Options {
	if o.RecvBuffer <= 0 {
		o.RecvBuffer = DefaultBuffer
	}
	if o.SendBuffer <= 0 {
		o.SendBuffer = DefaultBuffer
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// noIPv6 recognises the refusals of a kernel without IPv6.
func noIPv6(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// every reports whether a socket with these options is bound to no address.
func (o *Options) every() bool { return !o.Address.IsValid() || o.Address == netip.IPv6Unspecified() }

// listenError puts a refused port into words.
func (o *Options) listenError(port uint16, err error) error {
	if e, ok := InUse(port, err); ok {
		return e
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) && !o.every() {
		return fmt.Errorf("%s is no address of this host: %w", o.Address, err)
	}
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("UDP port %d needs more rights: ports below 1024 belong to root: %w", port, err)
	}
	return fmt.Errorf("cannot open UDP port %d: %w", port, err)
}

// maxFaults is how many errors in a row one ReadBatch ignores.
const maxFaults = 64

// breathe keeps a socket that answers nothing but errors from filling a core:
// after a burst each further fault costs a millisecond.
func breathe(faults int) {
	if faults >= maxFaults {
		time.Sleep(time.Millisecond)
	}
}

// unmapped returns the address with an IPv4 address in its own form: a
// dual-stack socket reports it mapped into IPv6.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
