package supernode

import (
	"net/netip"
	"time"

	"hedgerow/nat/stun"
	"hedgerow/transport"
)

// readAlternate answers STUN Binding requests at the alternate socket until it
// is closed. With a second port an edge learns how its NATs map (RFC 4787), even
// from one supernode.
func (s *Server) readAlternate() error {
	in := make([]transport.Datagram, readBatch)
	for i := range in {
		in[i].Buf = make([]byte, stun.RequestLen*2)
	}
	out := newOutbox(s.sockets.mask)
	for {
		n, err := s.sockets.alternate.ReadBatch(in)
		if n == 0 && err == nil {
			if err = s.sockets.alternate.Wait(); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		now := s.cfg.Now()
		s.mu.Lock()
		for i := range in[:n] {
			d := &in[i]
			if d.Seg > 0 && d.N > d.Seg { // a train: nobody asks so often in good faith
				s.refused.about(dropSTUNTrain, false, out.origin(d.Addr), nil)
				continue
			}
			s.answerBinding(now, out, d.Payload(), d.Addr, s.sockets.conn)
		}
		s.mu.Unlock()
		s.sockets.flushBy(s.sockets.alternate, s.sockets.conn, out)
	}
}

// answerBinding answers a STUN Binding request (RFC 8489) with the address that
// it came from, and names the port of our other socket, if there is one, from
// which it also answers when it is asked to (RFC 5780, section 6).
func (s *Server) answerBinding(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, other Conn) {
	request, reason := s.checkBinding(now, pkt, from, other)
	if reason != answered {
		s.refused.about(reason, false, out.origin(from), nil)
		return
	}
	var named netip.AddrPort
	if other != nil {
		named = netip.AddrPortFrom(netip.IPv4Unspecified(), other.LocalAddr().Port())
	}
	answer, err := stun.AppendResponse(out.buffer(), pkt, from, named)
	switch {
	case err != nil:
		s.refused.about(dropSTUN, false, out.origin(from), nil)
	case request.ChangePort:
		out.sendByOtherSocket(answer, from)
	default:
		out.sendPlain(answer, from)
	}
}

// checkBinding says why a STUN message gets no answer, and answered if it gets one.
// Indications, responses and everything malformed are dropped, and what comes over
// a stream, whose address is of no use.
func (s *Server) checkBinding(now time.Time, pkt []byte, from netip.AddrPort, other Conn) (stun.Request, dropReason) {
	const bindingRequest = 1
	switch {
	case len(pkt) < 2 || pkt[0] != 0 || pkt[1] != bindingRequest || stun.Guard(pkt) != nil:
		return stun.Request{}, dropSTUN
	case !underlayAddr(from).IsValid():
		return stun.Request{}, dropSTUNStream
	}
	// An answer that is not longer than its request cannot amplify, so an edge may
	// ask from many sockets at once how its NAT gives out ports.
	rate := float64(stunSourceRate)
	if len(pkt) >= stun.RequestLen {
		rate = stunPaddedRate
	}
	switch {
	case !s.strangers.stunSources.Take(now, from.Addr(), rate, rate):
		return stun.Request{}, dropSTUNRate
	case !s.strangers.stun.Take(now, 1, stunRate, stunRate):
		return stun.Request{}, dropSTUNTotal
	}
	request, err := stun.ParseRequest(pkt)
	switch {
	case err != nil:
		return request, dropSTUN
	case request.ChangePort && other == nil:
		return request, dropSTUNPort
	}
	return request, answered
}
