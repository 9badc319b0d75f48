package supernode

import (
	"errors"
	"net"
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// outboxFull is how many datagrams an outbox holds before its goroutine stops
// to send them.
const outboxFull = 64

// outbox gathers what one goroutine sends, so that nothing is sent while the
// registry's mutex is held. Packets lie either in its own buffers or in the
// buffer that they were read into; both are free again after flush.
type outbox struct {
	sc      *crypto.Scratch
	mask    *crypto.Mask
	batch   []transport.Datagram
	buffers [][]byte
	used    int // buffers handed out since the last flush
	flood   flood
	spare   [protocol.HelloLen]byte // a datagram before it was unmasked
}

func newOutbox(mask *crypto.Mask) *outbox {
	return &outbox{sc: crypto.NewScratch(), mask: mask}
}

// buffer returns an empty slice with room for one datagram, valid until the
// next flush.
func (o *outbox) buffer() []byte {
	if o.used == len(o.buffers) {
		o.buffers = append(o.buffers, make([]byte, protocol.MaxDatagram))
	}
	o.used++
	return o.buffers[o.used-1][:0]
}

// send masks a sealed packet and queues it. pkt is the outbox's until flush.
func (o *outbox) send(pkt []byte, to netip.AddrPort) {
	o.mask.Hide(o.sc, pkt)
	o.sendPlain(pkt, to)
}

// sendPlain queues a datagram that is not masked with the supernode's key.
func (o *outbox) sendPlain(pkt []byte, to netip.AddrPort) {
	o.batch = append(o.batch, transport.Datagram{Buf: pkt, N: len(pkt), Addr: to})
}

func (o *outbox) full() bool { return len(o.batch) >= outboxFull }

// flush sends what is queued and takes all buffers back.
func (o *outbox) flush(conn Conn, d *drops) {
	if len(o.batch) > 0 {
		if _, err := conn.WriteBatch(o.batch); err != nil && !errors.Is(err, net.ErrClosed) {
			d.drop(dropSend)
		}
	}
	o.batch, o.used = o.batch[:0], 0
}
