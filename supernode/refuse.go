package supernode

import (
	"context"
	"log/slog"
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/transport"
)

// refused is the message of the debug lines that explain why something went no
// further. Its attribute "reason" is the name of the counter.
const refused = "refused"

// debugging reports whether debug lines are written. It is asked before one is
// made, so that a flood costs a counter and nothing else.
func (s *Server) debugging() bool { return s.cfg.Log.Enabled(context.Background(), slog.LevelDebug) }

// refuse counts why a datagram or a message went no further and says it at debug
// level. edge is the session that it came over, nil if it came over none.
func (s *Server) refuse(reason dropReason, out *outbox, from netip.AddrPort, edge *hop) {
	s.drops.drop(reason)
	if s.debugging() {
		s.cfg.Log.Debug(refused, append([]any{"reason", reason.String()}, who(out, from, edge)...)...)
	}
}

// refuseMessage is refuse for a control message.
func (s *Server) refuseMessage(x *exchange, reason dropReason) {
	s.refuse(reason, x.out, x.from, x.hop)
}

// refuseInit is refuse for an INIT.
func (s *Server) refuseInit(out *outbox, from netip.AddrPort, err error) {
	reason := s.countInit(err)
	if s.debugging() {
		s.cfg.Log.Debug(refused, append([]any{"reason", reason, "err", err}, who(out, from, nil)...)...)
	}
}

// who returns the attributes that say whom a refusal is about, as far as it is
// known: the address, the connection of a stream, the edge.
func who(out *outbox, from netip.AddrPort, edge *hop) []any {
	attributes := []any{"address", from}
	if transport.IsSide(from.Addr()) {
		attributes = append(attributes, "stream", out.source)
	}
	if edge == nil {
		return attributes
	}
	if r := edge.reg; r != nil {
		return append(attributes, "mac", r.mac, "id", crypto.ShortID(r.owner[:]), "community", communityText(r.community.id))
	}
	return append(attributes, "session", edge.session.LocalIndex())
}
