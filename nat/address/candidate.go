package address

import "net/netip"

// CandidateKind says where a candidate comes from. The numbers are those of the
// CAND message and are only ever appended to.
type CandidateKind uint8

// The kinds of candidates.
const (
	KindHost          CandidateKind = 1 // an address of one of the peer's own interfaces
	KindReflexive     CandidateKind = 2 // seen by a supernode or a STUN server
	KindPeerReflexive CandidateKind = 3 // seen as the source of an authenticated packet
	KindMapped        CandidateKind = 4 // asked of the peer's router by PCP, NAT-PMP or UPnP
	KindStatic        CandidateKind = 5 // advertised by the peer's configuration
	KindTURN          CandidateKind = 6 // allocated on a TURN server
	KindLAN           CandidateKind = 7 // learnt by discovery on a LAN that both share
)

// String returns the word that status output uses for the kind.
func (k CandidateKind) String() string {
	switch k {
	case KindHost:
		return "host"
	case KindReflexive:
		return "reflexive"
	case KindPeerReflexive:
		return "peer-reflexive"
	case KindMapped:
		return "mapped"
	case KindStatic:
		return "static"
	case KindTURN:
		return "turn"
	case KindLAN:
		return "lan"
	}
	return "unknown"
}

// Candidate is one address at which a peer may be reached.
type Candidate struct {
	Kind CandidateKind
	Addr netip.AddrPort // never in the IPv6-mapped form of an IPv4 address
}
