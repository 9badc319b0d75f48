package protocol

import (
	"encoding/binary"
	"net/netip"
)

// MaxCandidates is how many candidates one list may have.
const MaxCandidates = 16

// Candidate is an address at which an edge may be reachable (RFC 8445).
type Candidate struct {
	// Kind says where the sender knows the address from: 1 host, 2 reflexive, 3
	// peer-reflexive, 4 mapped, 5 static, 6 TURN, 7 LAN. A receiver treats other
	// kinds as host.
	Kind uint8
	// Addr is the address and port.
	Addr netip.AddrPort
}

// Candidates is the message CAND: all the addresses at which its sender may
// be reached. It replaces earlier lists of a lower or the same generation.
type Candidates struct {
	// Gen is the generation; it rises when the sender's network changes.
	Gen uint32
	// List has at most MaxCandidates entries; Append leaves further ones out.
	List []Candidate
}

// Append appends the message with its type and length.
func (m *Candidates) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgCand)
	dst = binary.BigEndian.AppendUint32(dst, m.Gen)
	return endTLV(appendCandidates(dst, m.List), at)
}

// ParseCandidates reads the value of a CAND. It fails with ErrShort, ErrValue
// or ErrTooMany.
func ParseCandidates(value []byte) (Candidates, error) {
	r := reader{b: value}
	m := Candidates{Gen: r.u32()}
	m.List = r.candidates()
	return m, r.done()
}

func appendCandidates(dst []byte, list []Candidate) []byte {
	for _, c := range list[:min(len(list), MaxCandidates)] {
		dst = appendAddr(append(dst, c.Kind), c.Addr)
	}
	return dst
}

// candidates reads the rest of the value as a list of candidates.
func (r *reader) candidates() []Candidate {
	var list []Candidate
	for len(r.b) > 0 {
		if len(list) == MaxCandidates {
			r.fail(ErrTooMany)
			return nil
		}
		list = append(list, Candidate{Kind: r.u8(), Addr: r.addr()})
	}
	return list
}
