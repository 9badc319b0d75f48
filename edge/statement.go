package edge

import (
	"bytes"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Statements in a session.
const (
	verifyRate  = 0.2 // a second that are verified of one peer: each costs a signature
	verifyBurst = 3
	stateRate   = 1 // a second that one peer is told of us when it asks
	stateBurst  = 3
)

// handleStatement takes from a peer who it is, or tells it who we are. That the message
// came in a session with the static key is half of the proof (peers.prove).
func (d *directory) handleStatement(now time.Time, p *peer, m protocol.Statement) {
	switch {
	case m.Signed == nil:
		if p.sessions.stating.Take(now, 1, stateRate, stateBurst) {
			d.pairs.send(p, d.self.appendStatement)
		}
		return
	case p.identity.proven && bytes.Equal(p.identity.raw, m.Signed):
		return // every session begins with it
	case !p.sessions.verifying.Take(now, 1, verifyRate, verifyBurst):
		d.refusals.note(refusedStatementRate, p)
		return
	}
	st, err := crypto.VerifyStatement(m.Signed)
	if err != nil || st.Static != p.view.Static() {
		d.refusals.note(refusedStatement, p, "err", err)
		return
	}
	if st.CID != d.self.cid {
		d.refusals.note(refusedCommunity, p)
		return
	}
	d.peers.prove(now, p, st, m.Signed)
}
