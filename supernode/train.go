package supernode

import (
	"errors"
	"net"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat/stun"
	"hedgerow/transport"
)

const (
	// readBatch is how many datagrams, or trains of them, are read at once.
	readBatch = 8
	// readFailures in a row end Run: the socket is beyond hope.
	readFailures = 100
	readPause    = 10 * time.Millisecond
)

// readDatagrams is the packet loop: it reads a batch, handles each train in
// turn and sends the answers to all of them, which is one system call for most
// batches. It sleeps only when nothing is left to read.
func (s *Server) readDatagrams() error {
	in := make([]transport.Datagram, readBatch)
	for i := range in {
		in[i].Buf = make([]byte, transport.ReadBufferLen)
	}
	out := newOutbox()
	for failures := 0; ; {
		n, err := s.readOnce(in, out)
		if n == 0 && err == nil {
			s.sockets.sleeps.Add(1)
			err = s.sockets.conn.Wait()
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil && n == 0:
			if failures++; failures == readFailures {
				return err
			}
			time.Sleep(readPause)
		case n > 0:
			failures = 0
		}
	}
}

// readOnce reads a batch, handles it and sends the answers. It returns what was read. The
// socket is closed for us once another process reads it.
func (s *Server) readOnce(in []transport.Datagram, out *outbox) (n int, err error) {
	if !s.sockets.gate.Enter() {
		return 0, net.ErrClosed
	}
	defer s.sockets.gate.Leave()
	if n, err = s.sockets.conn.ReadBatch(in); n == 0 || errors.Is(err, net.ErrClosed) {
		return n, err
	}
	now := s.cfg.Now()
	s.relayer.crowded.loop.Batch(now, n < len(in))
	for i := range in[:n] {
		s.handleTrain(now, out, &in[i])
	}
	s.sockets.flush(out)
	return n, err
}

// handleTrain handles the datagrams of one buffer, all of one source. Packets that
// it queues may lie in that buffer until the next flush.
func (s *Server) handleTrain(now time.Time, out *outbox, d *transport.Datagram) {
	if d.N == 0 {
		return
	}
	size := d.Seg
	if size <= 0 {
		size = d.N
	}
	s.sockets.received.count(d.Datagrams())
	out.startTrain(d, s.sockets.sourceOf(d.Addr))
	s.mu.Lock()
	for ; out.at < d.N; out.at += size {
		end := min(out.at+size, d.N)
		s.handleDatagram(now, out, d.Buf[out.at:end:end], d.Addr)
		if len(out.flood.targets) > 0 {
			s.mu.Unlock() // sealing for a large community lasts
			s.relayer.sendFlood(out)
			s.mu.Lock()
		}
	}
	s.mu.Unlock()
	if out.full() {
		s.sockets.flush(out)
	}
}

// serveAlternate is readAlternate, whose failure is said: edges lose little by it.
func (s *Server) serveAlternate() {
	if err := s.readAlternate(); !errors.Is(err, net.ErrClosed) {
		s.health.secondPort.Store(true)
		s.cfg.Log.Error("the second port no longer answers", "err", err)
	}
}

// readAlternate answers STUN Binding requests at the alternate socket until it
// is closed. With a second port an edge learns how its NATs map (RFC 4787), even
// from one supernode.
func (s *Server) readAlternate() error {
	in := make([]transport.Datagram, readBatch)
	for i := range in {
		in[i].Buf = make([]byte, stun.RequestLen*2+crypto.CoverLen+crypto.CoverSpread)
	}
	out := newOutbox()
	for {
		n, err := s.readAlternateOnce(in, out)
		if n == 0 && err == nil {
			err = s.sockets.alternate.Wait()
		}
		if err != nil {
			return err
		}
	}
}

// readAlternateOnce is readOnce for the alternate socket.
func (s *Server) readAlternateOnce(in []transport.Datagram, out *outbox) (n int, err error) {
	if !s.sockets.gate.Enter() {
		return 0, net.ErrClosed
	}
	defer s.sockets.gate.Leave()
	if n, err = s.sockets.alternate.ReadBatch(in); n == 0 || err != nil {
		return n, err
	}
	now := s.cfg.Now()
	s.mu.Lock()
	for i := range in[:n] {
		d := &in[i]
		out.startTrain(d, d.Addr.Addr())
		if d.Seg > 0 && d.N > d.Seg { // a train: nobody asks so often in good faith
			s.refused.about(dropSTUNTrain, false, out.origin(d.Addr), nil)
			continue
		}
		s.strangers.binding.answerAny(now, out, d.Payload(), d.Addr, s.sockets.conn)
	}
	s.mu.Unlock()
	s.sockets.flushBy(s.sockets.alternate, s.sockets.conn, out)
	return n, nil
}
