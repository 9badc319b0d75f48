package supernode

import (
	"context"

	"hedgerow/transport"
)

// replyBatches is how many batches of replies wait to be sent. One holds the replies to
// what was read at once: mostly 8, and 128 at most, of up to 192 bytes, so that all take
// 12 MiB at most.
const replyBatches = 512

// replies send what is for strangers, on a goroutine of its own, so that whoever reads
// the socket waits for nothing that strangers asked for. They are bounded: what is too
// much is not sent.
type replies struct {
	waiting chan *replyBatch
	free    chan *replyBatch
	running bool // else they are sent at once
}

// replyBatch is some datagrams in a buffer of its own.
type replyBatch struct {
	conn  Conn
	buf   []byte
	stops []int // in buf, of each datagram
	to    []ends
	batch []transport.Datagram
}

func newReplies() replies {
	return replies{waiting: make(chan *replyBatch, replyBatches), free: make(chan *replyBatch, replyBatches)}
}

// put queues copies of datagrams that leave by a socket, and reports whether there was
// room.
func (r *replies) put(conn Conn, list []transport.Datagram) bool {
	var b *replyBatch
	select {
	case b = <-r.free:
	default:
		b = new(replyBatch)
	}
	b.conn, b.buf, b.stops, b.to = conn, b.buf[:0], b.stops[:0], b.to[:0]
	for i := range list {
		b.buf = append(b.buf, list[i].Payload()...)
		b.stops, b.to = append(b.stops, len(b.buf)), append(b.to, ends{addr: list[i].Addr, us: us{local: list[i].Local}})
	}
	select {
	case r.waiting <- b:
		return true
	default:
		return false
	}
}

// run sends what is queued by send until ctx ends.
func (r *replies) run(ctx context.Context, send func(conn Conn, list []transport.Datagram)) {
	for {
		select {
		case b := <-r.waiting:
			send(b.conn, b.datagrams())
			select {
			case r.free <- b:
			default:
			}
		case <-ctx.Done():
			return
		}
	}
}

// datagrams returns what is in the batch.
func (b *replyBatch) datagrams() []transport.Datagram {
	b.batch = b.batch[:0]
	start := 0
	for i, stop := range b.stops {
		b.batch = append(b.batch, b.to[i].datagram(b.buf[start:stop:stop]))
		start = stop
	}
	return b.batch
}
