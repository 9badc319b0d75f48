package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
)

// polled is a UDP socket of the standard library: the UDP of all systems but
// Linux, where it is only tested. A goroutine reads ahead into a ring.
type polled struct {
	conn *net.UDPConn
	// only4 is set on a host without IPv6.
	only4      bool
	ring       ring
	ended      chan struct{} // closed when the reading goroutine has ended
	counters   counters
	readFaults atomic.Uint64
}

// open opens the socket on every address of this host, or on that of the options.
func (u *polled) open(port uint16, opts Options) error {
	opts = opts.withDefaults()
	address, network := ":"+strconv.Itoa(int(port)), "udp"
	if !opts.every() {
		address = netip.AddrPortFrom(opts.Address, port).String()
		if opts.Address.Is4() {
			network = "udp4"
		}
	}
	config := net.ListenConfig{Control: opts.Binding.Control}
	packet, err := config.ListenPacket(context.Background(), network, address)
	if err != nil && opts.every() && noIPv6(err) {
		packet, err = config.ListenPacket(context.Background(), "udp4", address)
	}
	if err != nil {
		return opts.listenError(port, err)
	}
	conn := packet.(*net.UDPConn) // "udp" networks are documented to return this type
	// The wish for buffers fails on odd systems, which is no reason not to run.
	_ = conn.SetReadBuffer(opts.RecvBuffer)
	_ = conn.SetWriteBuffer(opts.SendBuffer)
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	u.conn, u.only4, u.ended = conn, local.Addr().Is4(), make(chan struct{})
	u.ring.init()
	go u.readAhead()
	return nil
}

// readAhead reads datagrams into the ring until the socket is closed or fails.
// While the ring is full, the system's buffer holds the rest.
func (u *polled) readAhead() {
	defer close(u.ended)
	buf := make([]byte, ReadBufferLen)
	for faults := 0; ; {
		n, from, err := u.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			faults = 0
			if !u.ring.put(buf[:n], unmapped(from)) {
				return
			}
		case errors.Is(err, net.ErrClosed):
			return
		case passing(err):
			u.readFaults.Add(1)
			faults++
			breathe(faults)
		default:
			u.ring.fail(fmt.Errorf("cannot read from the UDP socket: %w", err))
			return
		}
	}
}

// ReadBatch reads the datagrams that have arrived into ds and returns how many
// there were: 0 when there is nothing to read. It never blocks. Errors that the
// network reports about datagrams sent earlier end nothing and are counted in
// ReadFaults. After Close it returns net.ErrClosed; after any other error the
// socket is of no more use.
func (u *polled) ReadBatch(ds []Datagram) (n int, err error) {
	if len(ds) == 0 {
		return 0, nil
	}
	n, err = u.ring.pop(ds)
	if n > 0 {
		u.counters.reads.Add(1)
		u.counters.messages.Add(uint64(n))
		u.counters.datagrams.Add(uint64(n))
	}
	return n, err
}

// Wait blocks until ReadBatch may find something: nil. It returns net.ErrClosed
// after Close, also when it was blocked then.
func (u *polled) Wait() error { return u.ring.wait() }

// Ready returns a channel that holds a token when there is something to read,
// for a waiter.Channels. Close closes it. Whoever receives the token has to read
// until nothing is left.
func (u *polled) Ready() <-chan struct{} { return u.ring.wake }

// WriteBatch sends every datagram, those of a train (Seg) one by one, and
// returns how many entries of ds were sent whole. A datagram that the network
// refuses does not stop the batch; it is reported in a *WriteError at the end.
// WriteBatch blocks while the socket's buffer is full. After Close it returns
// net.ErrClosed.
//
// A datagram over IPv4 with a TTL is refused with errors.ErrUnsupported, as it
// would do harm with the usual TTL.
func (u *polled) WriteBatch(ds []Datagram) (n int, err error) {
	var refused *WriteError
	for i := range ds {
		err := u.send(&ds[i])
		switch {
		case err == nil:
			n++
		case errors.Is(err, net.ErrClosed):
			return n, net.ErrClosed
		default:
			refused = refused.add(i, err)
		}
	}
	if refused != nil { // a nil *WriteError in an error would not be nil
		return n, refused
	}
	return n, nil
}

// send sends one entry of a batch and returns its first fault.
func (u *polled) send(d *Datagram) error {
	payload, seg := d.Payload(), d.Seg
	if seg <= 0 {
		seg = len(payload)
	}
	var first error
	for {
		piece := payload[:min(seg, len(payload))]
		if err := u.sendOne(piece, d.Addr, d.TTL); err != nil && first == nil {
			first = err
		}
		if payload = payload[len(piece):]; len(payload) == 0 {
			return first
		}
	}
}

// sendOne sends one datagram.
func (u *polled) sendOne(payload []byte, to netip.AddrPort, ttl uint8) error {
	is4 := to.Addr().Unmap().Is4()
	switch {
	case !to.IsValid() || to.Port() == 0:
		return syscall.EDESTADDRREQ
	case u.only4 && !is4:
		return syscall.ENETUNREACH // the sentence of a host without IPv6
	case is4 && ttl != 0:
		return errors.ErrUnsupported
	case u.only4:
		to = unmapped(to) // an IPv4 socket of the standard library refuses mapped ones
	}
	_, err := u.conn.WriteToUDPAddrPort(payload, to)
	if err == nil {
		u.counters.writes.Add(1)
		u.counters.messagesOut.Add(1)
		u.counters.datagramsOut.Add(1)
	}
	return err
}

// LocalAddr returns the socket's port with the address that it is bound to.
func (u *polled) LocalAddr() netip.AddrPort {
	return unmapped(u.conn.LocalAddr().(*net.UDPAddr).AddrPort())
}

// TellsTOS reports false: the standard library tells no Datagram.TOS.
func (u *polled) TellsTOS() bool { return false }

// ReadFaults returns how many times a read ended with an error that was passed
// over.
func (u *polled) ReadFaults() uint64 { return u.readFaults.Load() }

// Counters returns the socket's counters.
func (u *polled) Counters() Counters { return u.counters.load() }

// Close closes the socket. A Wait that is blocked returns net.ErrClosed at once.
// Further calls return net.ErrClosed.
func (u *polled) Close() error {
	if !u.ring.close() {
		return net.ErrClosed
	}
	err := u.conn.Close()
	<-u.ended
	if err != nil {
		return fmt.Errorf("cannot close the UDP socket: %w", err)
	}
	return nil
}
