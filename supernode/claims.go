package supernode

import (
	"crypto/ed25519"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/supernode/admission"
)

// How long a refused edge is told to wait, in seconds.
const (
	retryRate  = 1
	retryTaken = 30
	retryFull  = 60
	// An edge that the operator does not admit is in soon after he has changed his mind,
	// and costs little until then.
	retryRefused = 60
)

// refusal is why a REGISTER is refused: what we count, and what the edge is told.
type refusal struct {
	reason dropReason
	nak    protocol.Nak
}

// attributes returns what a debug line says of the edge: what it claims to be.
func (why *refusal) attributes(m *protocol.Register) []any {
	claims := []any{"mac", m.MAC.String(), "community", communityText(m.CID), "wants", m.Prefix, "code", why.nak.Code}
	if len(m.Statement) >= ed25519.PublicKeySize {
		claims = append(claims, "id", crypto.ShortID(ed25519.PublicKey(m.Statement[:ed25519.PublicKeySize])))
	}
	if !why.nak.Holder.IsZero() {
		claims = append(claims, "holder", why.nak.Holder.String())
	}
	return claims
}

// applicant is an edge that has proved what it asks for.
type applicant struct {
	hop       *hop
	request   *protocol.Register
	statement crypto.Statement
}

// verifyClaims checks every claim of a REGISTER: the community is the one of that
// name and key, a member with that key signed this very session, and the
// identity vouches for the session's static key and for the MAC.
func verifyClaims(h *hop, m *protocol.Register) (crypto.Statement, *refusal) {
	refuse := func(reason dropReason) (crypto.Statement, *refusal) {
		return crypto.Statement{}, &refusal{reason: reason, nak: protocol.Nak{Code: protocol.CodeProof, Retry: retryTaken}}
	}
	switch {
	case m.MAC.IsGroup() || m.MAC.IsZero():
		return refuse(dropRegisterMAC)
	case crypto.CommunityID(m.NH, m.RPK) != m.CID:
		return refuse(dropRegisterCommunity)
	case !crypto.VerifyMembership(m.RPK[:], h.visit.hash, m.CID, m.MAC, h.static, m.SigC):
		return refuse(dropRegisterMembership)
	}
	st, err := crypto.VerifyStatement(m.Statement)
	switch {
	case err != nil:
		return refuse(dropRegisterStatement)
	case st.Static != h.static || st.CID != m.CID || st.MAC != m.MAC:
		return refuse(dropRegisterMismatch)
	}
	// A session belongs to one edge of one community for as long as it lives.
	if r := h.reg; r != nil && (r.community.id != m.CID || r.owner != st.ID) {
		return refuse(dropRegisterOther)
	}
	return st, nil
}

// notAdmitted puts a verdict into what is counted, and what the edge is told.
func notAdmitted(now time.Time, v admission.Verdict) *refusal {
	why := refusal{dropNotServed, protocol.Nak{Code: protocol.CodeNotServed, Retry: retryRefused}}
	switch v.Reason {
	case admission.Removed:
		why.reason, why.nak.Code = dropRemoved, protocol.CodeRemoved
		if !v.Since.IsZero() {
			why.nak.Since = uint64(max(0, v.Since.Unix()))
		}
	case admission.BadToken:
		why.reason, why.nak.Code = dropToken, protocol.CodeToken
	}
	if !v.Until.IsZero() {
		why.nak.Retry = uint16(min(max(1, v.Until.Sub(now)/time.Second+1), retryRefused))
	}
	return &why
}
