package supernode

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

const (
	// twinTime is how long after its last packet a session counts as in use by a process
	// that still runs: three keepalives.
	twinTime = 60 * time.Second
	// twinRate is how often a second the holder of an identity is told that another
	// session wants it.
	twinRate = 1.0 / 60
)

// tellHolder tells whoever is registered with an identity that another session was
// refused with an older statement of it: the same disk runs in two machines.
func (g *registrar) tellHolder(x *exchange, m *protocol.Register, id [32]byte) {
	c := g.registry.communities[m.CID]
	if c == nil {
		return
	}
	r := c.byOwner[id]
	if r == nil || r.hop == nil || r.hop == x.hop || !r.budget.twins.Take(x.now, 1, twinRate, 1) {
		return
	}
	g.tellTwin(x, r, r.hop)
}

// tellReplaced tells the session that a newer statement has replaced, if its process still
// seems to run. That of an edge that was started anew is gone and does not hear it.
func (g *registrar) tellReplaced(x *exchange, r *registration, old *hop) {
	if x.now.Sub(old.heard) < twinTime {
		g.tellTwin(x, r, old)
	}
}

// tellTwin says to a session that another one uses its identity.
func (g *registrar) tellTwin(x *exchange, r *registration, to *hop) {
	g.log.Debug("two sessions use one identity", "community", communityText(r.community.id), "id", crypto.ShortID(r.owner[:]),
		"told", to.addr, "other", x.from)
	x.sender.message(x.out, to, &protocol.Nak{Code: protocol.CodeIdentityTwice})
}
