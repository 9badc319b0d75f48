package protocol

import (
	"encoding/binary"
	"net/netip"
)

// SupernodeRef names another supernode of the same federation.
type SupernodeRef struct {
	// Addr is its address and port.
	Addr netip.AddrPort
	// Key is its X25519 public key.
	Key [32]byte
}

// Ack is the supernode's answer to a Register that it accepted.
type Ack struct {
	// Handle is the destination that other edges relay to; neither 0 nor
	// HandleAll.
	Handle uint32
	// Seen is the address that the registration came from. Optional.
	Seen netip.AddrPort
	// Lease is the address that the edge may use for LeaseSeconds, with the
	// length of its network's prefix. Optional.
	Lease        netip.Prefix
	LeaseSeconds uint32
	// ResetToken proves a RESET of this session.
	ResetToken [16]byte
	// NameInUse is 1 if edges are registered under the same name hash with another
	// rendezvous key, and were before this community. It does not count them.
	NameInUse uint32
	// Members is the number of edges that are registered in the community at
	// this supernode, including this one.
	Members uint32
	// Code is 0, CodePool when there is no lease since no address is free, or
	// CodeIPTaken when the lease is not the wanted address since
	// another edge has it.
	Code uint8
	// Holder is the hardware address of that edge. Optional.
	Holder MAC
	// Supernodes are others of the federation, at most MaxSupernodes.
	Supernodes []SupernodeRef
	// Features are the supernode's.
	Features uint32
	// TURN is the supernode's TURN server. Optional.
	TURN TURNServer
}

// Append appends the message with its type and length. Members that are zero
// are left out, except the handle and the token.
func (m *Ack) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgAck)
	if !m.Holder.IsZero() {
		dst = appendMember(dst, memberMAC, m.Holder[:])
	}
	if m.Features != 0 {
		dst = appendMember32(dst, memberFeatures, m.Features)
	}
	dst = appendMember32(dst, memberHandle, m.Handle)
	if m.Seen.IsValid() {
		dst = appendMemberAddr(dst, memberSeen, m.Seen)
	}
	if m.Lease.IsValid() {
		var from int
		dst, from = beginTLV(dst, memberLease)
		dst = binary.BigEndian.AppendUint32(appendPrefix(dst, m.Lease), m.LeaseSeconds)
		dst = endTLV(dst, from)
	}
	dst = appendMember(dst, memberResetToken, m.ResetToken[:])
	for _, s := range m.Supernodes[:min(len(m.Supernodes), MaxSupernodes)] {
		var from int
		dst, from = beginTLV(dst, memberSupernode)
		dst = endTLV(append(appendAddr(dst, s.Addr), s.Key[:]...), from)
	}
	if m.NameInUse != 0 {
		dst = appendMember32(dst, memberNameInUse, m.NameInUse)
	}
	if m.Code != 0 {
		dst = appendMember8(dst, memberCode, m.Code)
	}
	if m.Members != 0 {
		dst = appendMember32(dst, memberMembers, m.Members)
	}
	return endTLV(appendTURN(dst, m.TURN), at)
}

// ParseAck reads the value of an ACK. It fails as ParseRegister does; handle
// and token have to be there.
func ParseAck(value []byte) (Ack, error) {
	var m Ack
	set, err := eachMember(value, m.read)
	switch {
	case err != nil:
		return Ack{}, err
	case !set.has(memberHandle, memberResetToken):
		return Ack{}, ErrMissing
	case m.Handle == 0 || m.Handle == HandleAll:
		return Ack{}, ErrValue
	}
	return m, nil
}

func (m *Ack) read(member uint8, r *reader) bool {
	switch member {
	case memberMAC:
		r.copyTo(m.Holder[:])
	case memberFeatures:
		m.Features = r.u32()
	case memberHandle:
		m.Handle = r.u32()
	case memberSeen:
		m.Seen = r.addr()
	case memberLease:
		m.Lease = r.prefix()
		m.LeaseSeconds = r.u32()
	case memberResetToken:
		r.copyTo(m.ResetToken[:])
	case memberSupernode:
		if len(m.Supernodes) == MaxSupernodes {
			r.fail(ErrTooMany)
			return true
		}
		s := SupernodeRef{Addr: r.addr()}
		r.copyTo(s.Key[:])
		m.Supernodes = append(m.Supernodes, s)
	case memberNameInUse:
		m.NameInUse = r.u32()
	case memberCode:
		m.Code = r.u8()
	case memberMembers:
		m.Members = r.u32()
	case memberTURN:
		m.TURN = r.turnServer()
	default:
		return false
	}
	return true
}
