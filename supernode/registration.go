package supernode

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/fair"
	"hedgerow/supernode/quota"
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
	seat       seat
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

// relayBudget bounds what leaves for one edge, or for one community: bytes of relayed
// packets, copies of floods, and how often an edge is told of something. It counts both.
type relayBudget struct {
	bytes, floods, twins, told bucket.Bucket
	signals                    bucket.Bucket // bytes for signalling, once a limit of the month is reached
	payer                      quota.Payer   // of an edge
	dropped                    uint32        // packets since the edge was told last
	traffic                    admin.Traffic
	excess                     *excess // nil: it was never over a limit
	crowded                    crowdedMember
}

// crowdedMember is what an edge has waiting where not all can be relayed (crowded.go).
type crowdedMember struct{ line, loop fair.Member }

// static returns the static key that the statement of r vouches for. It reports false
// before there is one.
func (r *registration) static() (key [32]byte, ok bool) {
	if len(r.statement) != crypto.StatementLen {
		return key, false
	}
	return [32]byte(r.statement[ed25519.PublicKeySize:]), true
}

// here reports whether the edge has a live session.
func (r *registration) here() bool { return r.place >= 0 }

// index returns the index of the live session, or 0 when there is none.
func (r *registration) index() uint32 {
	if r.hop == nil || r.place < 0 {
		return 0
	}
	return r.hop.session.LocalIndex()
}

// peerInfo returns the message by which other members are told of r.
func (r *registration) peerInfo(now time.Time) protocol.PeerInfo {
	return protocol.PeerInfo{
		CID: r.community.id, MAC: r.mac, Handle: r.handle, Prefix: r.lease,
		Seen: underlayAddr(r.hop.addr), Candidates: r.candidates, Features: r.features, Statement: r.statement,
		Silent: uint32(r.silent(now) / time.Second),
	}
}

// silent returns for how long nothing has come from an edge with a session, 0 while that
// is no longer than its keepalives are apart: what is relayed to it then may not arrive,
// since its NAT has forgotten it, or it has gone.
func (r *registration) silent(now time.Time) time.Duration {
	if d := now.Sub(r.hop.heard); d > silentTime {
		return d
	}
	return 0
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
//	version u8 = 3 | name hash 32 | handle u32 | index u32 | expiry u64 (unix s) |
//	lease: ip 16, bits u8 (255: none) | address: ip 16, port u16 (0: none) |
//	source: ip 16 | present u32 (s) | left u64 (unix s, 0: it did not) | statement 166
//
// with IPv4 addresses in their IPv6-mapped form. Owner, hardware address and
// seq are read from the statement, whose signature is checked again.
const (
	recordVersion = 3
	recordLen     = 1 + 32 + 4 + 4 + 8 + 17 + 18 + 16 + 4 + 8 + crypto.StatementLen
	noLease       = 255
)

// record returns r as it is stored.
func (r *registration) record() []byte {
	b := make([]byte, 0, recordLen)
	b = append(b, recordVersion)
	b = append(b, r.community.nameHash[:]...)
	b = binary.BigEndian.AppendUint32(b, r.handle)
	b = binary.BigEndian.AppendUint32(b, r.index())
	b = binary.BigEndian.AppendUint64(b, uint64(r.until().Unix()))
	lease, bits := r.lease.Addr().As16(), byte(noLease)
	if r.lease.IsValid() {
		bits = byte(r.lease.Bits())
	}
	b = append(append(b, lease[:]...), bits)
	at := underlayAddr(r.addr) // a stream's side address would name another stream after a restart
	addr, source := at.Addr().As16(), r.seat.source.As16()
	b = append(b, addr[:]...)
	b = binary.BigEndian.AppendUint16(b, at.Port())
	b = append(b, source[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(r.presence()/time.Second))
	var left uint64
	if !r.seat.left.IsZero() {
		left = uint64(r.seat.left.Unix())
	}
	b = binary.BigEndian.AppendUint64(b, left)
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
	source    netip.Addr
	present   time.Duration
	left      time.Time // zero: it did not take its leave
	statement crypto.Statement
	signed    []byte
}

var errRecord = errors.New("supernode: stored registration is damaged")

// parseRecord reads what record wrote. It refuses what does not belong to key.
func parseRecord(key recordKey, b []byte) (stored, error) {
	if len(b) != recordLen || b[0] != recordVersion {
		return stored{}, errRecord
	}
	signed := b[len(b)-crypto.StatementLen:]
	st, err := crypto.VerifyStatement(signed)
	if err != nil || st.CID != [16]byte(key[:16]) || st.MAC != [6]byte(key[16:]) {
		return stored{}, errRecord
	}
	s := stored{
		nameHash:  [32]byte(b[1:33]),
		handle:    binary.BigEndian.Uint32(b[33:]),
		index:     binary.BigEndian.Uint32(b[37:]),
		expires:   time.Unix(int64(binary.BigEndian.Uint64(b[41:])), 0),
		source:    netip.AddrFrom16([16]byte(b[84:100])).Unmap(),
		present:   min(time.Duration(binary.BigEndian.Uint32(b[100:]))*time.Second, leaseTime),
		statement: st,
		signed:    bytes.Clone(signed),
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
	if left := binary.BigEndian.Uint64(b[104:]); left != 0 {
		s.left = time.Unix(int64(left), 0)
	}
	return s, nil
}

// awaySince returns when the edge was last here.
func (s *stored) awaySince() time.Time {
	if !s.left.IsZero() {
		return s.left
	}
	return s.expires.Add(-term(s.present))
}
