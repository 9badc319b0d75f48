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
	"time"
)

// DefaultBuffer is the size of a socket's buffers in bytes when Options has
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
	// Mark is the firewall mark of every datagram (Linux: SO_MARK, needs
	// CAP_NET_ADMIN), zero for none.
	Mark uint32
}

// withDefaults returns the options with the buffer sizes filled in.
func (o Options) withDefaults() Options {
	if o.RecvBuffer <= 0 {
		o.RecvBuffer = DefaultBuffer
	}
	if o.SendBuffer <= 0 {
		o.SendBuffer = DefaultBuffer
	}
	return o
}

// UDP is a UDP socket for IPv4 and IPv6 over the standard library. Its methods
// are safe for concurrent use.
type UDP struct {
	conn *net.UDPConn
	// only4 is set on a host without IPv6.
	only4 bool
	// ttls has the control message for every TTL, made in advance: one made per
	// datagram would escape to the heap.
	ttls       *[256][]byte
	readFaults atomic.Uint64
}

// ListenUDP opens a socket on every address of this host, on a port of its own
// choice when port is 0. It serves IPv4 and IPv6, or IPv4 alone on a host
// without IPv6. On Linux the kernel neither fragments nor applies a path MTU of
// its own (IP_MTU_DISCOVER and IPV6_MTU_DISCOVER are PROBE, ip(7)): finding the
// path MTU is the caller's business. Elsewhere the system's default stays.
//
// When the port is taken the error is an *InUseError.
func ListenUDP(port uint16, opts Options) (*UDP, error) {
	opts = opts.withDefaults()
	var control error // what Control could not set, which has a better reason than "bind"
	config := net.ListenConfig{Control: func(network, _ string, raw syscall.RawConn) error {
		control = setOptions(network, raw, opts)
		return control
	}}
	address := ":" + strconv.Itoa(int(port))
	packet, err := config.ListenPacket(context.Background(), "udp", address)
	if err != nil && control == nil && noIPv6(err) {
		packet, err = config.ListenPacket(context.Background(), "udp4", address)
	}
	if err != nil {
		return nil, listenError(port, err)
	}
	conn := packet.(*net.UDPConn) // what "udp" networks are documented to return
	// The wish for buffers fails on odd systems, which is no reason not to run.
	_ = conn.SetReadBuffer(opts.RecvBuffer)
	_ = conn.SetWriteBuffer(opts.SendBuffer)
	forceBuffers(conn, opts)
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return &UDP{conn: conn, only4: local.Addr().Is4(), ttls: newTTLs()}, nil
}

// noIPv6 recognises the refusals of a kernel without IPv6.
func noIPv6(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// listenError puts a refused port into words.
func listenError(port uint16, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) || addressInUse(err):
		e := &InUseError{Port: port, Err: err}
		e.PID, e.Command, _ = Holder(port)
		return e
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("UDP port %d needs more rights: ports below 1024 belong to root: %w", port, err)
	}
	return fmt.Errorf("cannot open UDP port %d: %w", port, err)
}

// ReadBatch blocks for a datagram and reads it; the standard library reads one a
// call. Errors that the network reports about datagrams sent earlier (a closed
// port, an unreachable host) end nothing and are counted in ReadFaults. After
// Close it returns net.ErrClosed.
func (u *UDP) ReadBatch(ds []Datagram) (n int, err error) {
	if len(ds) == 0 {
		return 0, nil
	}
	d := &ds[0]
	for faults := 1; ; faults++ {
		n, from, err := u.conn.ReadFromUDPAddrPort(d.Buf)
		if err == nil {
			d.N, d.Addr, d.Seg, d.TTL = n, unmapped(from), 0, 0
			return 1, nil
		}
		if errors.Is(err, net.ErrClosed) {
			return 0, net.ErrClosed
		}
		if !passing(err) {
			return 0, fmt.Errorf("cannot read from the UDP socket: %w", err)
		}
		u.readFaults.Add(1)
		breathe(faults)
	}
}

// breathe keeps a socket that answers nothing but errors from filling a core:
// after a burst each further fault costs a millisecond.
func breathe(faults int) {
	const burst = 64
	if faults > burst {
		time.Sleep(time.Millisecond)
	}
}

// unmapped returns the address with an IPv4 address in its own form: a
// dual-stack socket reports it mapped into IPv6.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// WriteBatch sends every datagram, those of a train (Seg) one by one, and
// returns how many entries of ds were sent whole. What the network refuses does
// not stop the batch and is returned as a *WriteError behind it. It blocks while
// the socket's buffer is full. After Close it returns net.ErrClosed.
//
// A datagram with a TTL on a system that cannot set one is refused with
// errors.ErrUnsupported, as it would do harm with the usual TTL; Linux can, for
// IPv4 on every socket.
func (u *UDP) WriteBatch(ds []Datagram) (n int, err error) {
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

// send sends one entry of a batch.
func (u *UDP) send(d *Datagram) error {
	payload := d.Payload()
	if d.Seg <= 0 || d.Seg >= len(payload) {
		return u.sendOne(payload, d.Addr, d.TTL)
	}
	var first error
	for len(payload) > 0 {
		piece := payload[:min(d.Seg, len(payload))]
		payload = payload[len(piece):]
		if err := u.sendOne(piece, d.Addr, d.TTL); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// sendOne sends one datagram.
func (u *UDP) sendOne(payload []byte, to netip.AddrPort, ttl uint8) error {
	is4 := to.Addr().Unmap().Is4()
	switch {
	case !to.IsValid() || to.Port() == 0:
		return syscall.EDESTADDRREQ
	case u.only4 && !is4:
		return syscall.ENETUNREACH // the sentence of a host without IPv6
	case u.only4:
		to = unmapped(to) // an IPv4 socket of the standard library refuses mapped ones
	}
	if ttl == 0 || !is4 {
		_, err := u.conn.WriteToUDPAddrPort(payload, to)
		return err
	}
	if u.ttls == nil {
		return errors.ErrUnsupported
	}
	_, _, err := u.conn.WriteMsgUDPAddrPort(payload, u.ttls[ttl], to)
	return err
}

// LocalAddr returns the socket's port with the unspecified address.
func (u *UDP) LocalAddr() netip.AddrPort {
	return unmapped(u.conn.LocalAddr().(*net.UDPAddr).AddrPort())
}

// ReadFaults returns how many times a read ended with an error that was passed
// over.
func (u *UDP) ReadFaults() uint64 { return u.readFaults.Load() }

// Close closes the socket. A ReadBatch that waits returns net.ErrClosed at once.
// Further calls return net.ErrClosed.
func (u *UDP) Close() error {
	if err := u.conn.Close(); errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	} else if err != nil {
		return fmt.Errorf("cannot close the UDP socket: %w", err)
	}
	return nil
}
