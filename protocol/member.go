package protocol

import (
	"encoding/binary"
	"net/netip"
	"unicode/utf8"
)

// The members of REGISTER, ACK, NAK, QUERY and PEER_INFO, which are TLVs of
// their own inside the message's value.
const (
	memberCID        uint8 = 1
	memberRPK        uint8 = 2
	memberNH         uint8 = 3
	memberName       uint8 = 4
	memberMAC        uint8 = 5
	memberPrefix     uint8 = 6
	memberCandidate  uint8 = 7
	memberFeatures   uint8 = 8
	memberSigC       uint8 = 9
	memberStatement  uint8 = 10
	memberToken      uint8 = 11
	memberUser       uint8 = 12
	memberHandle     uint8 = 13
	memberSeen       uint8 = 14
	memberLease      uint8 = 15
	memberResetToken uint8 = 16
	memberSupernode  uint8 = 17
	memberNameInUse  uint8 = 18
	memberCode       uint8 = 19
	memberRetry      uint8 = 20
	memberMembers    uint8 = 21
	memberTURN       uint8 = 22
	memberSilent     uint8 = 23
	memberSince      uint8 = 24
	memberListing    uint8 = 25
)

// repeatable are the members that may be there more than once.
const repeatable = memberSet(1)<<memberCandidate | memberSet(1)<<memberSupernode

// Bounds of members.
const (
	// StatementLen is the size in bytes of a signed statement.
	StatementLen = 166
	// MaxName is the size in bytes of the longest community name.
	MaxName = 64
	// MaxToken is the size in bytes of the longest access token.
	MaxToken = 512
	// MaxUser and MaxPassword are the sizes in bytes of the longest user name
	// and password.
	MaxUser, MaxPassword = 64, 128
	// MaxSupernodes is how many other supernodes an ACK may name.
	MaxSupernodes = 16
)

// memberSet is the members that a message had, a bit each.
type memberSet uint32

// has reports whether all of the given members were there.
func (s memberSet) has(members ...uint8) bool {
	for _, m := range members {
		if s&(1<<m) == 0 {
			return false
		}
	}
	return true
}

// eachMember calls read for every member of a value. read reads the member
// whole, or returns false for a member that the message does not have, which is
// then skipped.
func eachMember(value []byte, read func(member uint8, r *reader) bool) (memberSet, error) {
	var set memberSet
	for len(value) > 0 {
		typ, v, rest, err := NextTLV(value)
		if err != nil {
			return 0, err
		}
		value = rest
		r := reader{b: v}
		if !read(typ, &r) {
			continue
		}
		if err := r.done(); err != nil {
			return 0, err
		}
		bit := memberSet(1) << typ
		if set&bit&^repeatable != 0 {
			return 0, ErrDuplicate
		}
		set |= bit
	}
	return set, nil
}

func appendMember(dst []byte, member uint8, value []byte) []byte {
	dst, at := beginTLV(dst, member)
	return endTLV(append(dst, value...), at)
}

func appendMember8(dst []byte, member, v uint8) []byte {
	return append(dst, member, 0, 1, v)
}

func appendMember16(dst []byte, member uint8, v uint16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, member, 0, 2), v)
}

func appendMember32(dst []byte, member uint8, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, member, 0, 4), v)
}

func appendMember64(dst []byte, member uint8, v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, member, 0, 8), v)
}

func appendMemberAddr(dst []byte, member uint8, a netip.AddrPort) []byte {
	dst, at := beginTLV(dst, member)
	return endTLV(appendAddr(dst, a), at)
}

func appendMemberPrefix(dst []byte, member uint8, p netip.Prefix) []byte {
	dst, at := beginTLV(dst, member)
	return endTLV(appendPrefix(dst, p), at)
}

// statement reads a signed statement and copies it.
func (r *reader) statement() []byte {
	b := r.next(StatementLen)
	if b == nil {
		return nil
	}
	return append([]byte(nil), b...)
}

// text reads the rest of the value as UTF-8 text of 1 to limit bytes.
func (r *reader) text(limit int) string {
	b := r.next(len(r.b))
	if len(b) == 0 || len(b) > limit || !utf8.Valid(b) {
		r.fail(ErrValue)
		return ""
	}
	return string(b)
}

// cut returns the longest start of s of at most limit bytes that does not end
// within a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
