package protocol

import (
	"fmt"
	"net/netip"
)

// The codes of a NAK; CodeIPTaken also in an ACK.
const (
	// CodeProof says that the proof of membership or identity does not hold.
	CodeProof = 1
	// CodeMACTaken says that another identity holds the hardware address.
	CodeMACTaken = 2
	// CodeIPTaken says that another edge holds the wanted address.
	CodeIPTaken = 3
	// CodeFull says that a table of the supernode is full.
	CodeFull = 4
	// CodeNameNeeded says that the policy needs the community's name.
	CodeNameNeeded = 5
	// CodeOldStatement says that a statement with a higher seq is known.
	CodeOldStatement = 6
	// CodeRate says that the edge asks too often.
	CodeRate = 7
	// CodePool says that the address pool is used up, or that the wanted address
	// is not in it.
	CodePool = 8
	// CodeIdentityTwice says to a registered edge that another session tries to
	// register with its identity, or has done so while its own was in use. It answers
	// nothing.
	CodeIdentityTwice = 9
	// CodeNotServed says that the supernode does not serve the community. It may also
	// end a registration that there is, and answers nothing then.
	CodeNotServed = 10
	// CodeRemoved says that the operator of the supernode has removed the edge, for good
	// or for a time. It may also end a registration that there is, and answers nothing
	// then.
	CodeRemoved = 11
	// CodeToken says that the token of the REGISTER is unknown, used up, expired, or for
	// another community, and that nothing else admits the edge.
	CodeToken = 12
	// CodeNotListed says that the edge is no member by the community's list of members. It
	// may also end a registration that there is, and answers nothing then.
	CodeNotListed = 13
	// CodeListWanted says that the supernode first wants the community's list of members,
	// or a newer one that it was told of, from the edge or from another one.
	CodeListWanted = 14
	// CodeUser says that nobody of the user's name of the REGISTER is allowed, or that the
	// password is another one, and that nothing else admits the edge.
	CodeUser = 15
)

// CodeString returns the meaning of a code in a few words, or its number.
func CodeString(code uint8) string {
	switch code {
	case 0:
		return "no fault"
	case CodeProof:
		return "proof does not hold"
	case CodeMACTaken:
		return "hardware address taken"
	case CodeIPTaken:
		return "IP address taken"
	case CodeFull:
		return "supernode full"
	case CodeNameNeeded:
		return "community name needed"
	case CodeOldStatement:
		return "statement is old"
	case CodeRate:
		return "too many requests"
	case CodePool:
		return "no address in the pool"
	case CodeIdentityTwice:
		return "another machine uses this identity"
	case CodeNotServed:
		return "community not served"
	case CodeRemoved:
		return "removed by the operator"
	case CodeToken:
		return "token used up or expired"
	case CodeNotListed:
		return "not in the list of members"
	case CodeListWanted:
		return "list of members wanted first"
	case CodeUser:
		return "wrong user name or password"
	}
	return fmt.Sprintf("code %d", code)
}

// Nak is the supernode's answer to a Register that it refused.
type Nak struct {
	// Code is one of the Code constants, never 0.
	Code uint8
	// Retry is how many seconds to wait before the next try. Optional.
	Retry uint16
	// Holder is the hardware address of the edge that holds the wanted address.
	// Optional.
	Holder MAC
	// Prefix is the address that was refused. Optional.
	Prefix netip.Prefix
	// Since is when the operator removed the edge, in seconds of Unix time, with
	// CodeRemoved; 0: it is not known. Optional.
	Since uint64
}

// Append appends the message with its type and length. Optional members that
// are zero are left out.
func (m *Nak) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgNak)
	if !m.Holder.IsZero() {
		dst = appendMember(dst, memberMAC, m.Holder[:])
	}
	if m.Prefix.IsValid() {
		dst = appendMemberPrefix(dst, memberPrefix, m.Prefix)
	}
	dst = appendMember8(dst, memberCode, m.Code)
	if m.Retry != 0 {
		dst = appendMember16(dst, memberRetry, m.Retry)
	}
	if m.Since != 0 {
		dst = appendMember64(dst, memberSince, m.Since)
	}
	return endTLV(dst, at)
}

// ParseNak reads the value of a NAK. It fails as ParseRegister does; the code
// has to be there.
func ParseNak(value []byte) (Nak, error) {
	var m Nak
	set, err := eachMember(value, m.read)
	switch {
	case err != nil:
		return Nak{}, err
	case !set.has(memberCode):
		return Nak{}, ErrMissing
	case m.Code == 0:
		return Nak{}, ErrValue
	}
	return m, nil
}

func (m *Nak) read(member uint8, r *reader) bool {
	switch member {
	case memberMAC:
		r.copyTo(m.Holder[:])
	case memberPrefix:
		m.Prefix = r.prefix()
	case memberCode:
		m.Code = r.u8()
	case memberRetry:
		m.Retry = r.u16()
	case memberSince:
		m.Since = r.u64()
	default:
		return false
	}
	return true
}
