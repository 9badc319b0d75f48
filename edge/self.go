package edge

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// self is what this edge is in its community. Only its statement is made anew: when
// Run begins, and once more if the clock was wrong then.
type self struct {
	cid        [16]byte
	mac        protocol.MAC
	identity   *crypto.Identity
	name       string
	features   uint32
	keeping    uint32 // features of others with whom a session is kept (bridges.go)
	statement  []byte
	seq        uint64 // of the statement
	twin       twin
	state      *state
	prefixes   func() []netip.Prefix // of the device
	candidates func() protocol.Candidates
	isolation  *isolation
	segment    func(b []byte) []byte // appends what we say of our LAN; nil: we are no bridge
	listed     saidOfList
}

// saidOfList is what we say of the list of members.
type saidOfList struct {
	append func(b []byte) []byte    // to a member: appends which one we have
	claim  func() *protocol.Listing // to a supernode
	begin  func(s *supernode)       // that begins with a session: what was said in another one does not count
}

// sign makes the statement of this run.
func (s *self) sign(wall time.Time, seq uint64) {
	s.seq = seq
	s.statement = s.identity.SignStatement(crypto.Statement{
		ID: [32]byte(s.identity.ID), Static: s.identity.Static, CID: s.cid, MAC: [6]byte(s.mac),
		Seq: seq, Expiry: uint64(wall.Add(365 * 24 * time.Hour).Unix()),
	})
}

// append appends what a peer is told at the start of a session: who we are, our name
// and addresses, and where we may be reached.
func (s *self) append(b []byte) []byte {
	about := protocol.About{Name: s.name, Prefixes: s.prefixes()}
	c := s.candidates()
	return c.Append(about.Append(s.appendStatement(b)))
}

// appendStatement appends who we are.
func (s *self) appendStatement(b []byte) []byte {
	m := protocol.Statement{Signed: s.statement}
	return m.Append(b)
}

// other reports whether a verified statement is of our community and of somebody
// else, who is not known to be no member.
func (s *self) other(st crypto.Statement) bool {
	return st.CID == s.cid && st.Static != s.identity.Static && !s.isolation.admission.refuses(st.ID)
}
