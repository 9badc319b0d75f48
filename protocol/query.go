package protocol

import "net/netip"

// Query asks the supernode about a member by its hardware address or by its
// handle. With neither it asks for up to 64 members, the most recent first.
type Query struct {
	MAC    MAC
	Handle uint32
}

// Append appends the message with its type and length.
func (m *Query) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgQuery)
	if !m.MAC.IsZero() {
		dst = appendMember(dst, memberMAC, m.MAC[:])
	}
	if m.Handle != 0 {
		dst = appendMember32(dst, memberHandle, m.Handle)
	}
	return endTLV(dst, at)
}

// ParseQuery reads the value of a QUERY. It fails as ParseRegister does, and
// with ErrValue if both are asked for.
func ParseQuery(value []byte) (Query, error) {
	var m Query
	set, err := eachMember(value, m.read)
	if err == nil && set.has(memberMAC, memberHandle) {
		err = ErrValue
	}
	if err != nil {
		return Query{}, err
	}
	return m, nil
}

func (m *Query) read(member uint8, r *reader) bool {
	switch member {
	case memberMAC:
		r.copyTo(m.MAC[:])
	case memberHandle:
		m.Handle = r.u32()
	default:
		return false
	}
	return true
}

// PeerInfo is a supernode's knowledge about a member: in answer to a Query, and
// unasked when the member registers or has a new statement. Only the statement
// is proof of anything.
type PeerInfo struct {
	// CID is the community.
	CID [16]byte
	// MAC is the member's hardware address, Handle the destination to relay to.
	MAC    MAC
	Handle uint32
	// Prefix is its lease. Optional.
	Prefix netip.Prefix
	// Seen is the address that the supernode sees it at. Optional.
	Seen netip.AddrPort
	// Candidates are the addresses that it registered, at most MaxCandidates.
	Candidates []netip.AddrPort
	// Features are those that it registered.
	Features uint32
	// Statement is its signed statement, StatementLen bytes.
	Statement []byte
	// Silent is for how many seconds the supernode has heard nothing of it, though it
	// should have. Zero: it hears the member. Optional.
	Silent uint32
}

// Append appends the message with its type and length. Optional members that
// are zero are left out. The statement has to have StatementLen bytes.
func (m *PeerInfo) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgPeerInfo)
	dst = appendMember(dst, memberCID, m.CID[:])
	dst = appendMember(dst, memberMAC, m.MAC[:])
	if m.Prefix.IsValid() {
		dst = appendMemberPrefix(dst, memberPrefix, m.Prefix)
	}
	dst = appendCandidateMembers(dst, m.Candidates)
	if m.Features != 0 {
		dst = appendMember32(dst, memberFeatures, m.Features)
	}
	dst = appendMember(dst, memberStatement, m.Statement)
	dst = appendMember32(dst, memberHandle, m.Handle)
	if m.Seen.IsValid() {
		dst = appendMemberAddr(dst, memberSeen, m.Seen)
	}
	if m.Silent != 0 {
		dst = appendMember32(dst, memberSilent, m.Silent)
	}
	return endTLV(dst, at)
}

// ParsePeerInfo reads the value of a PEER_INFO. The statement is not verified.
// It fails as ParseRegister does; CID, MAC, handle and statement have to be
// there.
func ParsePeerInfo(value []byte) (PeerInfo, error) {
	var m PeerInfo
	set, err := eachMember(value, m.read)
	switch {
	case err != nil:
		return PeerInfo{}, err
	case !set.has(memberCID, memberMAC, memberHandle, memberStatement):
		return PeerInfo{}, ErrMissing
	case m.Handle == 0 || m.Handle == HandleAll:
		return PeerInfo{}, ErrValue
	}
	return m, nil
}

func (m *PeerInfo) read(member uint8, r *reader) bool {
	switch member {
	case memberCID:
		r.copyTo(m.CID[:])
	case memberMAC:
		r.copyTo(m.MAC[:])
	case memberPrefix:
		m.Prefix = r.prefix()
	case memberCandidate:
		m.Candidates = r.candidateMember(m.Candidates)
	case memberFeatures:
		m.Features = r.u32()
	case memberStatement:
		m.Statement = r.statement()
	case memberHandle:
		m.Handle = r.u32()
	case memberSeen:
		m.Seen = r.addr()
	case memberSilent:
		m.Silent = r.u32()
	default:
		return false
	}
	return true
}
