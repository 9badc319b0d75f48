package supernode

import (
	"errors"
	"fmt"

	"hedgerow/internal/network"
	"hedgerow/protocol"
)

// Verify compares what the owners keep about the same things, and their tables with
// their bounds, and returns where they differ. It is for tests, and costs as much as
// the tables are large. It may be called from any goroutine.
func (s *Server) Verify() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := verifier{server: s}
	guests := 0
	for index, h := range s.sessions.byIdx {
		v.session(index, h)
		if h.reg == nil {
			guests++
		}
	}
	registered, online := 0, 0
	for _, c := range s.registry.communities {
		registered, online = registered+len(c.byMAC), online+len(c.online)
		v.community(c)
	}
	limits := s.registry.limits
	v.check(guests <= limits.Guests, "%d guests, at most %d", guests, limits.Guests)
	v.check(registered <= limits.Edges, "%d registrations, at most %d", registered, limits.Edges)
	v.check(len(s.registry.communities) <= limits.Communities, "%d communities, at most %d", len(s.registry.communities), limits.Communities)
	v.check(registered == len(s.registry.byHandle), "%d registrations, %d handles", registered, len(s.registry.byHandle))
	v.check(online == s.registry.online, "%d edges are online, %d are counted", online, s.registry.online)
	return errors.Join(v.faults...)
}

// verifier collects what does not fit.
type verifier struct {
	server *Server
	faults []error
}

func (v *verifier) check(ok bool, format string, args ...any) {
	if !ok {
		v.faults = append(v.faults, fmt.Errorf(format, args...))
	}
}

func (v *verifier) session(index uint32, h *hop) {
	v.check(h.session.LocalIndex() == index, "session %08x is found as %08x", h.session.LocalIndex(), index)
	v.check(len(h.others.direct) <= protocol.MaxDirect, "session %08x leaves out %d members", index, len(h.others.direct))
	if r := h.reg; r != nil {
		v.check(v.server.registry.byHandle[r.handle] == r, "session %08x is of a registration that has ended", index)
		v.check(r.hop == h || !h.retired.IsZero(), "session %08x is not its registration's", index)
	}
}

func (v *verifier) community(c *community) {
	name := communityText(c.id)
	v.check(len(c.byMAC) > 0, "community %s has no registration", name)
	v.check(len(c.byOwner) == len(c.byMAC), "community %s has %d hardware addresses of %d owners", name, len(c.byMAC), len(c.byOwner))
	leases := 0
	for mac, r := range c.byMAC {
		v.check(r.mac == mac && !mac.IsGroup() && !mac.IsZero(), "%v is registered as %v", r.mac, mac)
		v.check(c.byOwner[r.owner] == r && r.community == c, "%v: its owner has another registration", mac)
		v.check(v.server.registry.byHandle[r.handle] == r, "%v: handle %08x is another's", mac, r.handle)
		if r.lease.IsValid() {
			leases++
			v.check(c.byAddr[r.lease.Addr()] == r, "%v: %v is another's", mac, r.lease)
		}
		if r.place < 0 {
			continue
		}
		v.check(r.place < len(c.online) && c.online[r.place] == r, "%v is online and not among those that are", mac)
		v.check(r.hop != nil && v.server.sessions.byIdx[r.index()] == r.hop && r.hop.reg == r, "%v is online without a session", mac)
	}
	v.check(leases == len(c.byAddr), "community %s has %d leases for %d addresses", name, leases, len(c.byAddr))
	held, yields := make(map[network.Key]int), 0
	for _, r := range c.byAddr {
		if !c.pool.Contains(r.lease.Addr()) {
			continue
		}
		held[network.Of(r.seat.source)[0]]++
		if r.place < 0 {
			yields++
		}
		v.check((r.place < 0) == (r.seat.yielding != nil), "%v is online or away, and yields or not", r.mac)
	}
	v.check(c.addresses.away == nil && yields == 0 || c.addresses.away != nil && c.addresses.away.Len() == yields, "community %s has %d that yield an address", name, yields)
	v.check(c.addresses.absent.Len() == yields, "community %s has %d that are away with an address, %d are listed", name, yields, c.addresses.absent.Len())
	for k, n := range held {
		v.check(c.addresses.holders[k] == n, "community %s has %d addresses from a network, %d are counted", name, n, c.addresses.holders[k])
	}
	for place, r := range c.online {
		v.check(r.place == place && c.byMAC[r.mac] == r, "%v is online and not registered", r.mac)
	}
}
