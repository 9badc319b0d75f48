package supernode

import (
	"bytes"
	"crypto/ed25519"
	"hash/maphash"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/lists"
)

// How long a refused edge is told to wait, in seconds.
const (
	retryRate  = 1
	retryTaken = 30
	retryFull  = 60
	// An edge that the operator does not admit is in soon after he has changed his mind,
	// and costs little until then.
	retryRefused = 60

	retryReturning = 10
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

// claimedMost is how many REGISTERs of registered edges wait for the check of their
// signatures, and how many of strangers.
const claimedMost = 1024

// proofs are the REGISTERs that wait for the check of their signatures, and the time that
// there is for those of strangers and of registered edges.
type proofs struct {
	waiting            *queues[claimKey, claimed]
	strangers, members workBudget
}

func newProofs() proofs {
	return proofs{waiting: newQueues[claimKey, claimed](claimedMost), strangers: newWorkBudget(), members: newWorkBudget()}
}

// claimKey is a REGISTER of a session. An edge repeats the same one until it is answered, and
// it waits once.
type claimKey struct {
	hop  *hop
	hash uint64 // of the REGISTER
}

var claimSeed = maphash.MakeSeed()

// claimed is a control packet with a REGISTER whose signatures have to be checked. That
// takes as long as relaying a hundred packets does, so it is not done by whoever reads the
// socket, nor while the tables are locked.
type claimed struct {
	body   []byte // the messages: there is one REGISTER, and it can be read
	hop    *hop
	came   ends // where it came from, and what it was sent to
	source netip.Addr
	proves bool   // see exchange
	known  []byte // the statement that is registered, which was verified; nil: none is
}

// claims are what a check of a REGISTER has shown: what an edge says of itself, or why it
// is refused.
type claims struct {
	statement crypto.Statement
	listing   *lists.Claim // nil: of no list of members
	refused   *refusal
	waits     bool // the same REGISTER is being checked already, and its answer is this one's
}

// outOfTime is the claim of somebody who asks too often, or while too many do.
func outOfTime() *claims {
	return &claims{refused: &refusal{reason: dropControlRate, nak: protocol.Nak{Code: protocol.CodeRate, Retry: retryRate}}}
}

// registerOf returns the value of the REGISTER in a body of messages that can be read; nil
// if there is none.
func registerOf(body []byte) []byte {
	for rest := body; len(rest) > 0; {
		typ, value, next, err := protocol.NextTLV(rest)
		if err != nil {
			return nil
		}
		if protocol.MsgType(typ) == protocol.MsgRegister {
			return value
		}
		rest = next
	}
	return nil
}

// applicant is an edge that has proved what it asks for.
type applicant struct {
	hop       *hop
	request   *protocol.Register
	statement crypto.Statement
	nameHash  [32]byte // of the community's name
}

// verifyClaims checks every claim of a REGISTER: the community is the one of that
// name and key, a member with that key signed this very session, and the
// identity vouches for the session's static key and for the MAC. It looks at nothing of h
// that ever changes. known is the statement of before, which need not be verified again.
func verifyClaims(h *hop, m *protocol.Register, known []byte) *claims {
	refuse := func(reason dropReason) *claims { return &claims{refused: badProof(reason)} }
	switch {
	case m.MAC.IsGroup() || m.MAC.IsZero():
		return refuse(dropRegisterMAC)
	case crypto.CommunityID(m.NH, m.RPK) != m.CID:
		return refuse(dropRegisterCommunity)
	case !crypto.VerifyMembership(m.RPK[:], h.visit.hash, m.CID, m.MAC, h.static, m.SigC):
		return refuse(dropRegisterMembership)
	}
	read := crypto.VerifyStatement
	if bytes.Equal(m.Statement, known) {
		read = crypto.ParseStatement
	}
	st, err := read(m.Statement)
	switch {
	case err != nil:
		return refuse(dropRegisterStatement)
	case st.Static != h.static || st.CID != m.CID || st.MAC != m.MAC:
		return refuse(dropRegisterMismatch)
	}
	claim, ok := lists.Check(m)
	if !ok {
		return refuse(dropRegisterListing)
	}
	return &claims{statement: st, listing: claim}
}

// waits refuses a REGISTER whose token or password is not looked at yet: nothing is said, so
// that the edge asks again.
var waits = &refusal{}

// badProof is the answer to claims that do not hold.
func badProof(reason dropReason) *refusal {
	return &refusal{reason: reason, nak: protocol.Nak{Code: protocol.CodeProof, Retry: retryTaken}}
}

// notAdmitted puts a verdict into what is counted, and what the edge is told; a code of 0:
// nothing.
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
	case admission.BadUser:
		why.reason, why.nak.Code = dropUser, protocol.CodeUser
	case admission.Limited:
		return &refusal{dropPasswordRate, protocol.Nak{Code: protocol.CodeRate, Retry: retryTaken}}
	case admission.Unsaved:
		return &refusal{dropTokenUnsaved, protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}}
	}
	if !v.Until.IsZero() {
		why.nak.Retry = uint16(min(max(1, v.Until.Sub(now)/time.Second+1), retryRefused))
	}
	return &why
}
