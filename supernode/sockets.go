package supernode

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"hedgerow/internal/handover"
	"hedgerow/transport"
)

// sockets own where datagrams come from and go to. Any goroutine may use them; none
// does while it holds the mutex of the tables.
type sockets struct {
	conn      Conn
	alternate Conn       // nil: none
	streams   Streams    // nil: none
	keys      serverKeys // by which edges know us
	refused   *refusals
	log       *slog.Logger
	replies   replies
	gate      *handover.Gate // of all who use the sockets

	sleeps         atomic.Uint64
	received, sent trainSizes
}

func newSockets(cfg *Config, refused *refusals) *sockets {
	return &sockets{
		conn: cfg.Conn, alternate: cfg.Alternate, streams: cfg.Streams, refused: refused, log: cfg.Log, replies: newReplies(), gate: handover.NewGate(),
	}
}

// close ends whoever waits at a socket.
func (s *sockets) close() {
	_ = s.conn.Close()
	if s.alternate != nil {
		_ = s.alternate.Close()
	}
}

// flush sends what out holds and takes all its buffers back.
func (s *sockets) flush(out *outbox) { s.flushBy(s.conn, s.alternate, out) }

// flushBy is flush by one of the two sockets. What answerByOtherSocket queued leaves
// by the other one.
func (s *sockets) flushBy(conn, other Conn, out *outbox) {
	if len(out.otherSocket) > 0 {
		_, _ = other.WriteBatch(out.otherSocket)
		out.otherSocket = out.otherSocket[:0]
	}
	if len(out.batch) > 0 {
		if _, err := conn.WriteBatch(out.batch); err != nil && !errors.Is(err, net.ErrClosed) {
			s.countRefused(err)
		}
		for i := range out.batch {
			s.sent.count(out.batch[i].Datagrams())
		}
	}
	if len(out.answers) > 0 {
		s.reply(conn, out)
	}
	out.batch, out.own.used, out.tail = out.batch[:0], 0, shut
	if len(out.stays) > 0 {
		s.admitStreams(out)
	}
}

// countRefused counts what was not sent of a batch for edges. That an edge's stream has
// ended is no fault of this host: its session lasts until it is silent for long enough.
func (s *sockets) countRefused(err error) {
	var refused *transport.WriteError
	if !errors.As(err, &refused) {
		s.refused.drop(dropSend)
		return
	}
	for _, why := range refused.All() {
		if errors.Is(why, transport.ErrNoSide) {
			s.refused.drop(dropStreamEnded)
		} else {
			s.refused.drop(dropSend)
		}
	}
}

// reply has what is for strangers sent: behind everything else, and where somebody does
// that, without waiting for it.
func (s *sockets) reply(conn Conn, out *outbox) {
	switch {
	case !s.replies.running:
		s.sendReplies(conn, out.answers)
	case !s.replies.put(conn, out.answers):
		s.refused.drops[dropAnswer].Add(uint64(len(out.answers)))
	}
	out.answers = out.answers[:0]
}

// sendReplies sends what is for strangers. That the socket takes no more of it is no
// fault to tell.
func (s *sockets) sendReplies(conn Conn, list []transport.Datagram) {
	if _, err := conn.WriteBatch(list); err != nil && !errors.Is(err, net.ErrClosed) {
		s.refused.drop(dropAnswer)
	}
	for range list {
		s.sent.count(1)
	}
}

// sendLater is sendReplies on a goroutine of its own.
func (s *sockets) sendLater(conn Conn, list []transport.Datagram) {
	if s.gate.Enter() {
		s.sendReplies(conn, list)
		s.gate.Leave()
	}
}

// admitStreams tells the streams what outbox.admit noted. Without any there may still be
// sessions by streams of a predecessor.
func (s *sockets) admitStreams(out *outbox) {
	stays := out.stays
	out.stays = out.stays[:0]
	if s.streams == nil {
		return
	}
	for _, stay := range stays {
		switch stay.progress {
		case streamHello:
			s.streams.Admit(stay.side, streamHelloTime)
		case streamSession:
			s.streams.Admit(stay.side, streamSessionTime)
		case streamRegistered:
			s.streams.Keep(stay.side, streamKeepTime)
		}
	}
}

// sourceOf returns the address by which a sender is counted until it has proved its
// own: the datagram's, and for a stream the address of its connection.
func (s *sockets) sourceOf(from netip.AddrPort) netip.Addr {
	if transport.IsSide(from.Addr()) && s.streams != nil {
		if source := s.streams.Source(from); source.IsValid() {
			return source
		}
	}
	return from.Addr()
}

// serveStreams serves the streams until ctx ends. Edges that come by UDP lose nothing
// when a listener fails.
func (s *sockets) serveStreams(ctx context.Context, failed *atomic.Bool) {
	if err := s.streams.Serve(ctx); err != nil {
		failed.Store(true)
		s.log.Error("edges that cannot use UDP can no longer come", "error", err)
	}
}
