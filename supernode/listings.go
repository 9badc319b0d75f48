package supernode

import (
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
	"hedgerow/roster"
	"hedgerow/supernode/lists"
)

// allPiecesRate is how many pieces of lists of members all edges together get a second.
const allPiecesRate = 8192

// listings hold the edges of a community to its list of members, if it has one.
type listings struct {
	table    *lists.Table
	registry *registry
	pieces   bucket.Limiter
	reviews  map[[16]byte]*listReview // by community: its registrations are being looked through
}

func newListings(table *lists.Table, registry *registry) *listings {
	return &listings{table: table, registry: registry, pieces: bucket.NewLimiter(allPiecesRate, allPiecesRate), reviews: make(map[[16]byte]*listReview)}
}

// judge decides whether an edge that may register here may do so by its community's list.
func (l *listings) judge(x *exchange, a applicant) *refusal {
	c, here := l.registry.communities[a.request.CID], false
	if c != nil {
		r := c.byOwner[a.statement.ID]
		here = r != nil && r.here()
	}
	verdict, want := l.table.Judge(x.now, &lists.Applicant{
		CID: a.request.CID, ID: a.statement.ID, Claim: x.claims.listing, Session: a.hop.session.LocalIndex(),
		Source: lastingSource(a.hop.addr, a.hop.source), Here: here,
	})
	if verdict == lists.Member && !here && l.reviews[a.request.CID] != nil {
		verdict = lists.Wanted // who is in it no more is still to end
	}
	if want != nil {
		x.add(want)
	}
	switch verdict {
	case lists.Open:
		return nil
	case lists.Full:
		return &refusal{dropListFull, protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}}
	case lists.Wanted:
		return &refusal{dropListWanted, protocol.Nak{Code: protocol.CodeListWanted, Retry: retryRate}}
	case lists.NotListed:
		l.tell(x, a.request.CID)
		return &refusal{dropNotListed, protocol.Nak{Code: protocol.CodeNotListed, Retry: retryTaken}}
	}
	return nil
}

// handleRegistered tells an edge that has registered, and knows of lists, which one there is.
func (l *listings) handleRegistered(x *exchange) {
	if r := x.hop.reg; x.claims != nil && x.claims.listing != nil && r != nil && r.hop == x.hop {
		l.tell(x, r.community.id)
	}
}

// tell tells an edge which list of members there is.
func (l *listings) tell(x *exchange, cid [16]byte) {
	m := protocol.List{}
	if list := l.table.List(cid); list != nil {
		m.Head = &list.Head
	}
	x.add(&m)
}

// handlePart takes a piece of a list that an edge was asked for.
func (l *listings) handlePart(x *exchange, value []byte) {
	m, err := protocol.ParseListPart(value)
	if err != nil {
		x.refuse(dropListPart)
		return
	}
	want, ok := l.table.Part(x.now, x.hop.session.LocalIndex(), &m)
	if !ok {
		x.refuse(dropListPart)
	}
	if want != nil {
		x.add(want)
	}
}

// handleWant gives a member pieces of the list.
func (l *listings) handleWant(x *exchange, value []byte) {
	m, err := protocol.ParseListWant(value)
	list := l.table.List(x.hop.reg.community.id)
	switch {
	case err != nil:
		x.refuse(dropListPart)
		return
	case list == nil || m.Tag != roster.Tag(&list.Head):
		l.tell(x, x.hop.reg.community.id)
		return
	}
	for _, i := range m.Indices {
		part, ok := list.Part(int(i))
		if !ok || !x.hop.others.pieces.Take(x.now, 1, roster.PiecesRate, roster.PiecesBurst) || !l.pieces.Take(x.now) {
			x.refuse(dropListRate)
			return
		}
		x.add(&part)
	}
}
