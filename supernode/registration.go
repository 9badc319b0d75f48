package supernode

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// registration is one edge in one community. It outlives the edge's sessions:
// while its lease lasts no other edge gets its hardware address or its IP
// address.
type registration struct {
	community  *community
	mac        protocol.MAC
	owner      [32]byte // Ed25519 identity
	handle     uint32   // by which other edges address RELAY packets to it
	statement  []byte
	seq        uint64
	lease      netip.Prefix // zero: the edge wants none
	expires    time.Time
	candidates []netip.AddrPort
	features   uint32
	addr       netip.AddrPort // the last proved one, kept for RESET
	hop        *hop           // nil: it has no session now
	place      int            // in community.online; -1: not in it
	budget     relayBudget
	// announceOwner says that other members believe another edge to own the MAC, so
	// that they have to be sent a PEER_INFO.
	announceOwner bool
}

// relayBudget bounds the packets and punches of one edge.
type relayBudget struct {
	bytes, floods, punches bucket.Bucket
}

// ended reports whether the lease of r is over, so that another edge may get its MAC
// and its address.
func (r *registration) ended(now time.Time) bool {
	return r.place < 0 && !now.Before(r.expires)
}

// index returns the index of the live session, or 0 when there is none.
func (r *registration) index() uint32 {
	if r.hop == nil || r.place < 0 {
		return 0
	}
	return r.hop.session.LocalIndex()
}

// peerInfo returns the message by which other members are told of r.
func (r *registration) peerInfo() protocol.PeerInfo {
	return protocol.PeerInfo{
		CID: r.community.id, MAC: r.mac, Handle: r.handle, Prefix: r.lease,
		Seen: underlayAddr(r.hop.addr), Candidates: r.candidates, Features: r.features, Statement: r.statement,
	}
}

// attributes returns what names a registration in a log.
func (r *registration) attributes() []any {
	return []any{"mac", r.mac.String(), "id", crypto.ShortID(r.owner[:]), "community", communityText(r.community.id)}
}

func (r *registration) key() (k recordKey) {
	copy(k[:16], r.community.id[:])
	copy(k[16:], r.mac[:])
	return k
}

// A stored registration is
//
//	version u8 = 1 | name hash 32 | handle u32 | index u32 | expiry u64 (unix s) |
//	lease: ip 16, bits u8 (255: none) | address: ip 16, port u16 (0: none) |
//	statement 166
//
// with IPv4 addresses in their IPv6-mapped form. Owner, hardware address and
// seq are read from the statement, whose signature is checked again.
const (
	recordVersion = 1
	recordLen     = 1 + 32 + 4 + 4 + 8 + 17 + 18 + crypto.StatementLen
	noLease       = 255
)

// record returns r as it is stored.
func (r *registration) record() []byte {
	b := make([]byte, 0, recordLen)
	b = append(b, recordVersion)
	b = append(b, r.community.nameHash[:]...)
	b = binary.BigEndian.AppendUint32(b, r.handle)
	b = binary.BigEndian.AppendUint32(b, r.index())
	b = binary.BigEndian.AppendUint64(b, uint64(r.expires.Unix()))
	lease, bits := r.lease.Addr().As16(), byte(noLease)
	if r.lease.IsValid() {
		bits = byte(r.lease.Bits())
	}
	b = append(append(b, lease[:]...), bits)
	at := underlayAddr(r.addr) // a stream's side address would name another stream after a restart
	addr := at.Addr().As16()
	b = append(b, addr[:]...)
	b = binary.BigEndian.AppendUint16(b, at.Port())
	return append(b, r.statement...)
}

// stored is a registration as it comes from disk.
type stored struct {
	nameHash  [32]byte
	handle    uint32
	index     uint32
	expires   time.Time
	lease     netip.Prefix
	addr      netip.AddrPort
	statement crypto.Statement
	signed    []byte
}

var errRecord = errors.New("supernode: stored registration is damaged")

// parseRecord reads what record wrote. It refuses what does not belong to key.
func parseRecord(key recordKey, b []byte) (stored, error) {
	if len(b) != recordLen || b[0] != recordVersion {
		return stored{}, errRecord
	}
	st, err := crypto.VerifyStatement(b[recordLen-crypto.StatementLen:])
	if err != nil || st.CID != [16]byte(key[:16]) || st.MAC != [6]byte(key[16:]) {
		return stored{}, errRecord
	}
	s := stored{
		nameHash:  [32]byte(b[1:33]),
		handle:    binary.BigEndian.Uint32(b[33:]),
		index:     binary.BigEndian.Uint32(b[37:]),
		expires:   time.Unix(int64(binary.BigEndian.Uint64(b[41:])), 0),
		statement: st,
		signed:    append([]byte(nil), b[recordLen-crypto.StatementLen:]...),
	}
	if bits := b[65]; bits != noLease {
		s.lease = netip.PrefixFrom(netip.AddrFrom16([16]byte(b[49:65])).Unmap(), int(bits))
		if !leasable(s.lease) {
			return stored{}, errRecord
		}
	}
	if port := binary.BigEndian.Uint16(b[82:]); port != 0 {
		s.addr = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[66:82])).Unmap(), port)
	}
	return s, nil
}
