package supernode

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/transport"
)

// Debug lines about refusals, over all reasons: a flood fills no disk.
const (
	refusalRate  = 100 // a second
	refusalBurst = 1000
)

// refusalLines bounds the debug lines about refusals.
type refusalLines struct {
	mu      sync.Mutex
	budget  bucket.Bucket
	leftOut uint64 // since the last line
}

// explain writes the debug line of a refusal. who is called for its attributes, and
// only if there is a line: at other levels a refusal costs a counter and nothing
// else. The attribute "reason" is the name of that counter.
func (s *Server) explain(reason string, who func() []any) {
	if !s.cfg.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	l := &s.lines
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.budget.Take(s.cfg.Now(), 1, refusalRate, refusalBurst) {
		l.leftOut++
		return
	}
	attributes := append([]any{"reason", reason}, who()...)
	if l.leftOut > 0 {
		attributes = append(attributes, "left_out", l.leftOut)
		l.leftOut = 0
	}
	s.cfg.Log.Debug("refused", attributes...)
}

// refuse counts and explains why a datagram or a message went no further. edge is
// the session that it came over, nil if it came over none.
func (s *Server) refuse(reason dropReason, out *outbox, from netip.AddrPort, edge *hop) {
	s.drops.drop(reason)
	s.explain(reason.String(), func() []any { return append(sender(out, from), edge.attributes()...) })
}

// refuseMessage is refuse for a control message.
func (s *Server) refuseMessage(x *exchange, reason dropReason) {
	s.refuse(reason, x.out, x.from, x.hop)
}

// refuseInit is refuse for an INIT.
func (s *Server) refuseInit(out *outbox, from netip.AddrPort, err error) {
	s.explain(s.countInit(err), func() []any { return append(sender(out, from), "err", err) })
}

// refuseEdge is refuse for what concerns a registration, whatever caused it.
func (s *Server) refuseEdge(reason dropReason, r *registration, more ...any) {
	s.drops.drop(reason)
	s.explain(reason.String(), func() []any { return append(r.attributes(), more...) })
}

// sender returns the attributes of where a datagram came from: its address, and
// for one that came over a stream the address of the connection.
func sender(out *outbox, from netip.AddrPort) []any {
	if transport.IsSide(from.Addr()) {
		return []any{"stream", out.source}
	}
	return []any{"address", from}
}

// attributes returns what is known of the edge at the other end of a session.
func (h *hop) attributes() []any {
	switch {
	case h == nil:
		return nil
	case h.reg == nil:
		return []any{"session", h.session.LocalIndex()}
	}
	return h.reg.attributes()
}

// attributes returns what names a registration in a log.
func (r *registration) attributes() []any {
	return []any{"mac", r.mac.String(), "id", crypto.ShortID(r.owner[:]), "community", communityText(r.community.id)}
}
