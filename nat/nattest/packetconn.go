package nattest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"hedgerow/transport"
)

// PacketConn is a Conn as package net has it, for those who take one. Deadlines
// there are none.
type PacketConn struct{ conn *Conn }

// PacketConn returns the port as a net.PacketConn. Both must not be read from at
// once.
func (c *Conn) PacketConn() *PacketConn { return &PacketConn{c} }

// ReadFrom waits for a datagram and reads it. The error is net.ErrClosed after
// Close.
func (p *PacketConn) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	in := [1]transport.Datagram{{Buf: b}}
	for {
		if err := p.conn.Wait(); err != nil {
			return 0, nil, err
		}
		switch n, err := p.conn.ReadBatch(in[:]); {
		case err != nil:
			return 0, nil, err
		case n > 0:
			return in[0].N, net.UDPAddrFromAddrPort(in[0].Addr), nil
		}
	}
}

// WriteTo sends a datagram to a *net.UDPAddr. Errors are those of
// Conn.WriteBatch.
func (p *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("nattest: not an address of UDP")
	}
	a := udp.AddrPort()
	out := [1]transport.Datagram{{Buf: b, N: len(b), Addr: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}}
	if _, err := p.conn.WriteBatch(out[:]); err != nil {
		if refused := (*transport.WriteError)(nil); errors.As(err, &refused) {
			return 0, refused.Err
		}
		return 0, err
	}
	return len(b), nil
}

// Close closes the port and ends a ReadFrom that waits.
func (p *PacketConn) Close() error { return p.conn.Close() }

// LocalAddr returns the port as a *net.UDPAddr.
func (p *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.conn.LocalAddr()) }

// SetDeadline returns os.ErrNoDeadline.
func (p *PacketConn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline returns os.ErrNoDeadline.
func (p *PacketConn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline returns os.ErrNoDeadline.
func (p *PacketConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
