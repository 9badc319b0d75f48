package supernode

import (
	"bytes"
	"context"
	"hash/maphash"
	"log/slog"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/supernode/admission"
)

// registrar decides who is registered, with which hardware address and which lease,
// until the lease ends.
type registrar struct {
	policy    *admission.Policy
	registry  *registry
	sessions  *sessions
	store     *store
	prober    *prober
	notices   *notices
	turn      *turnServer
	refused   *refusals
	allowance *allowance
	resetKeys *resetKeys
	random    random
	listed    func(x *exchange, a applicant) *refusal // decides by the list of members
	log       *slog.Logger
	expiry    expiry

	proofs proofs
}

// hasTime takes the time that a REGISTER costs and reports whether there was as much. Who
// is known, registered with the key of the session, does not compete with strangers.
func (g *registrar) hasTime(x *exchange, known bool) bool {
	b := &g.proofs.strangers
	if known {
		b = &g.proofs.members
	}
	return b.spend(x.now, g.registry.front.initSource(x.hop.addr, x.hop.source), registerTime, true)
}

// postpone queues a control packet for the check of its REGISTER, if it has one that is to
// be checked. The packet is handled when that is done. Of one that is not checked, x says
// why. A repetition of one that waits is answered with it, and costs nothing more.
func (g *registrar) postpone(x *exchange, body []byte) bool {
	value := registerOf(body)
	if value == nil || x.claims != nil {
		return false
	}
	m, err := protocol.ParseRegister(value)
	if err != nil || !g.mayRegister(x.hop) {
		return false
	}
	known, key := g.registry.knows(x.hop.static), claimKey{x.hop, maphash.Bytes(claimSeed, value)}
	if g.proofs.waiting.holds(known, key) {
		x.claims = &claims{waits: true}
		return false
	}
	if !x.affords(registerCost) || g.proofs.waiting.count(known) >= claimedMost || !g.hasTime(x, known) || !g.proofs.waiting.put(x.now, known, key, claimed{
		body: bytes.Clone(body), hop: x.hop, came: x.out.back(x.from), source: x.out.source, proves: x.proves, known: g.registry.statement(m.CID, m.MAC),
	}) {
		x.claims = outOfTime()
		return false
	}
	return true
}

// mayRegister reports whether an edge may register over a session.
func (g *registrar) mayRegister(h *hop) bool { return h.retired.IsZero() && g.sessions.has(h) }

// handleRegister enters a registration whose claims have been checked. The same REGISTER
// again is a refresh, so an edge that lost the answer just asks again.
func (g *registrar) handleRegister(x *exchange, value []byte) {
	m, err := protocol.ParseRegister(value)
	switch {
	case err != nil:
		x.refuse(dropRegister)
		return
	case !g.mayRegister(x.hop):
		x.refuse(dropRegisterRetired)
		return
	case x.claims.waits:
		return
	case x.claims.refused != nil:
		g.refuse(x, &m, x.claims.refused)
		return
	}
	a := applicant{hop: x.hop, request: &m, statement: x.claims.statement, nameHash: m.NH}
	if claim := x.claims.listing; claim != nil {
		a.nameHash = claim.Room.NameHash
	}
	// A session belongs to one edge of one community for as long as it lives.
	if r := x.hop.reg; r != nil && (r.community.id != m.CID || r.owner != a.statement.ID) {
		g.refuse(x, &m, badProof(dropRegisterOther))
		return
	}
	if refused := g.ask(x, a); refused != nil {
		g.turnAway(x, &m, refused)
		return
	}
	d, refused := g.decide(x.now, a)
	if refused != nil {
		if refused.nak.Code == protocol.CodeOldStatement {
			g.tellHolder(x, &m, a.statement.ID)
		}
		g.refuse(x, &m, refused)
		return
	}
	r := g.grant(a, d)
	g.enter(x, r, a)
	if d.choice.none {
		r.community.addresses.exhausted = x.now
		g.refused.count(dropPool, true, func() []any { return append(r.attributes(), "wants", m.Prefix) })
	}
	g.acknowledge(x, r, d.choice)
}

// ask asks whether the operator admits an applicant, which is one look at tables that no
// applicant changes, and then the list of members of its community.
func (g *registrar) ask(x *exchange, a applicant) *refusal {
	v := g.policy.Decide(x.now, &admission.Request{
		CID: a.request.CID, NameHash: a.nameHash, Identity: a.statement.ID, Source: a.hop.source,
		Sources: g.registry.front.sourcesIn(lastingSource(a.hop.addr, a.hop.source)),
		Token:   a.request.Token, User: a.request.User, Password: a.request.Password,
	})
	switch v.Reason {
	case admission.Admitted:
		return g.listed(x, a)
	case admission.Waiting:
		return waits
	}
	return notAdmitted(x.now, v)
}

// turnAway refuses an applicant who is not admitted, and ends the registration that it has:
// it comes from elsewhere by now, or without its token. Who waits asks again, and is
// registered meanwhile if it was.
func (g *registrar) turnAway(x *exchange, m *protocol.Register, why *refusal) {
	if why == waits {
		return
	}
	if r := x.hop.reg; r != nil {
		g.forget(r)
	}
	g.refuse(x, m, why)
}

// refuse refuses a REGISTER. What the debug line says of the edge is what
// it claims to be.
func (g *registrar) refuse(x *exchange, m *protocol.Register, why *refusal) {
	g.refused.count(why.reason, true, func() []any {
		return append(x.out.origin(x.from).attributes(), why.attributes(m)...)
	})
	if why.nak.Code != 0 {
		x.add(&why.nak)
	}
}

// enter writes what an admitted edge said of itself into its registration and makes
// its session the one that packets for it go to.
func (g *registrar) enter(x *exchange, r *registration, a applicant) {
	newer := r.statement != nil && a.statement.Seq > r.seq
	if !bytes.Equal(r.statement, a.request.Statement) {
		g.registry.setStatement(r, bytes.Clone(a.request.Statement)) // it lies in the whole REGISTER
	}
	r.seq = a.statement.Seq
	r.features = a.request.Features
	r.candidates = a.request.Candidates
	g.registry.moveTo(r, a.hop.addr)
	if old := r.hop; old != a.hop {
		if old != nil && newer {
			g.tellReplaced(x, r, old)
		}
		g.sessions.adopt(x.now, a.hop, r)
		g.sessions.keepStream(x.now, x.out, a.hop)
		g.prober.measure(x.now, x.out, a.hop)
		if g.log.Enabled(context.Background(), slog.LevelDebug) { // what it says takes time as well
			g.log.Debug("edge registered", "community", communityText(r.community.id), "mac", r.mac.String(),
				"id", crypto.ShortID(r.owner[:]), "address", r.addr, "lease", r.lease)
		}
	}
	g.registry.setOnline(r)
	g.store.save(r)
	if newer || r.announceOwner {
		r.announceOwner = false
		g.notices.announce(x.now, r)
	}
}

// acknowledge answers an edge with its handle, its lease and the rest of the ACK.
func (g *registrar) acknowledge(x *exchange, r *registration, got choice) {
	g.registry.totals.accepted++
	token, _ := g.resetKeys.token(x.hop.session.LocalIndex())
	ack := protocol.Ack{
		Handle: r.handle, Seen: underlayAddr(x.from), Lease: r.lease,
		LeaseSeconds: uint32(r.term() / time.Second),
		ResetToken:   token,
		Members:      uint32(len(r.community.online)),
		TURN:         g.turn.offer(x.now, r),
	}
	if r.community.nameInUse() && g.allowance.name(x.now, x.hop) {
		ack.NameInUse = 1
	}
	switch holder := got.holder; {
	case got.none:
		ack.Code = protocol.CodePool
	case holder != nil:
		ack.Code, ack.Holder = protocol.CodeIPTaken, holder.mac
		g.log.Debug("edge got another address than it asked for", "community", communityText(r.community.id),
			"mac", r.mac.String(), "lease", r.lease, "holder", holder.mac.String())
	}
	x.add(&ack)
	x.promises = true
}

// handleUnregister ends the session of an edge that leaves. Its lease stays for as long as
// nobody needs it.
func (g *registrar) handleUnregister(x *exchange) {
	r := x.hop.reg
	g.log.Debug("edge left", "mac", r.mac.String())
	g.sessions.end(x.hop)
	g.registry.setLeft(x.now, r)
	g.store.save(r)
}
