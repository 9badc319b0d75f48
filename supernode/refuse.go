package supernode

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/transport"
)

// Debug lines about refusals. Anybody can cause those of the first kind, so a flood
// of junk is a few lines for each reason; those of the second kind take a session.
const (
	strangerLinesEvery = 30 * time.Second // for each reason, after strangerLinesBurst
	strangerLinesBurst = 2
	memberLinesRate    = 100 // a second, over all reasons
	memberLinesBurst   = 1000
)

// refusalLines bounds the debug lines about refusals.
type refusalLines struct {
	mu        sync.Mutex
	strangers map[string]*lineBudget // by reason
	members   lineBudget
}

// lineBudget bounds some of the lines.
type lineBudget struct {
	bucket.Bucket
	leftOut uint64 // since the last line
}

// explain writes the debug line of a refusal. The attribute "reason" is the name of
// the counter. authentic says that an edge with a session caused it. who is called
// for more attributes, and only if there is a line: at other levels a refusal costs
// a counter and nothing else.
func (s *Server) explain(reason string, authentic bool, who func() []any) {
	if !s.cfg.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	leftOut, ok := s.lines.take(s.cfg.Now(), reason, authentic)
	if !ok {
		return
	}
	attributes := append([]any{"reason", reason}, who()...)
	if leftOut > 0 {
		attributes = append(attributes, "left_out", leftOut)
	}
	s.cfg.Log.Debug("refused", attributes...)
}

// take reports whether there may be a line, and how many there were not before it.
func (l *refusalLines) take(now time.Time, reason string, authentic bool) (leftOut uint64, ok bool) {
	b, rate, burst := &l.members, float64(memberLinesRate), float64(memberLinesBurst)
	if !authentic {
		rate, burst = 1/strangerLinesEvery.Seconds(), strangerLinesBurst
		if b = l.strangers[reason]; b == nil {
			if l.strangers == nil {
				l.strangers = make(map[string]*lineBudget)
			}
			b = new(lineBudget)
			l.strangers[reason] = b
		}
	}
	if !b.Take(now, 1, rate, burst) {
		b.leftOut++
		return 0, false
	}
	leftOut, b.leftOut = b.leftOut, 0
	return leftOut, true
}

// refuse counts and explains why a datagram went no further. edge is the session that
// it names, nil if it names none: that proves nothing about its sender.
func (s *Server) refuse(reason dropReason, out *outbox, from netip.AddrPort, edge *hop) {
	s.drops.drop(reason)
	s.explain(reason.String(), false, func() []any { return append(sender(out, from), edge.attributes()...) })
}

// refuseMessage counts and explains why a control message went no further.
func (s *Server) refuseMessage(x *exchange, reason dropReason) {
	s.drops.drop(reason)
	s.explain(reason.String(), true, func() []any { return append(sender(x.out, x.from), x.hop.attributes()...) })
}

// refuseInit is refuse for an INIT.
func (s *Server) refuseInit(out *outbox, from netip.AddrPort, err error) {
	s.explain(s.countInit(err), false, func() []any { return append(sender(out, from), "err", err) })
}

// refuseEdge is refuse for what concerns a registration, whatever caused it.
func (s *Server) refuseEdge(reason dropReason, r *registration, more ...any) {
	s.drops.drop(reason)
	s.explain(reason.String(), true, func() []any { return append(r.attributes(), more...) })
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
