package protocol

import "net/netip"

// Features that an edge or supernode announces, bits of a u32. Unknown bits
// are ignored.
const (
	// FeatureChaCha says that the sender prefers to open ChaCha20-Poly1305.
	FeatureChaCha = 1
	// FeaturePartial says that the sender accepts frames with a partial
	// checksum.
	FeaturePartial = 2
	// FeatureStatic says that the supernode has to refuse the registration if
	// the wanted prefix is not free.
	FeatureStatic = 4
	// FeatureNoAddress says that the edge wants no lease: it has its addresses
	// from elsewhere.
	FeatureNoAddress = 8
	// FeatureHosts says that the sender answers HOSTASK.
	FeatureHosts = 16
	// FeatureLists says that the sender holds others to a list of members.
	FeatureLists = 32
	// FeatureBridge says that the sender is a bridge: hosts stand behind its
	// device, so its frames have other source addresses than its own, too.
	FeatureBridge = 512
	// FeatureIsolated says, between edges, that the sender knows the community to have
	// hubs. It names none.
	FeatureIsolated = 1024
	// FeatureRoutes says that networks stand behind the sender to which it forwards IP
	// packets: it answers ROUTES.
	FeatureRoutes = 2048
	// FeatureMembers says that the sender has the hosts behind it asked for the multicast
	// groups that they have joined, so that their reports can be waited for.
	FeatureMembers = 4096
	// FeatureECN says of an edge that it sees marks of congestion (RFC 3168) on the
	// packets that it receives, and of a supernode that it passes them on.
	FeatureECN = 8192
)

// Register is an edge's request to be a member of its community at the
// supernode, with the proofs that it is one. Append leaves members marked
// optional out when they are zero.
type Register struct {
	// CID is the community id, RPK the rendezvous public key and NH the name
	// hash that it is made of.
	CID [16]byte
	RPK [32]byte
	NH  [32]byte
	// Name is the community's name, sent only after a NAK with
	// CodeNameNeeded; at most MaxName bytes of UTF-8. Optional.
	Name string
	// MAC is the edge's hardware address.
	MAC MAC
	// Prefix is the wanted address; the zero value for any. Optional.
	Prefix netip.Prefix
	// Candidates are the edge's own addresses, at most MaxCandidates.
	// Optional.
	Candidates []netip.AddrPort
	// Features are the Feature bits. Optional.
	Features uint32
	// SigC is the rendezvous key's signature over this session, CID, MAC and
	// the edge's X25519 key.
	SigC [64]byte
	// Statement is the identity's signed statement, StatementLen bytes.
	Statement []byte
	// Token is an access token, at most MaxToken bytes. Optional.
	Token []byte
	// User and Password are at most MaxUser and MaxPassword bytes. Optional.
	User, Password string
	// Listing is of a community with a list of members; nil: it has none. Optional.
	Listing *Listing
}

// Listing is what an edge says of its community's list of members.
type Listing struct {
	// NameHash is the hash of the community's name, and Authority the Ed25519 key that
	// signs the list. Register.NH is made of both.
	NameHash, Authority [32]byte
	// Head is that of the list which the edge has; nil: it has none.
	Head *ListHead
}

// Append appends the message with its type and length. The statement has to
// have StatementLen bytes.
func (m *Register) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgRegister)
	dst = appendMember(dst, memberCID, m.CID[:])
	dst = appendMember(dst, memberRPK, m.RPK[:])
	dst = appendMember(dst, memberNH, m.NH[:])
	if m.Name != "" {
		dst = appendMember(dst, memberName, []byte(cut(m.Name, MaxName)))
	}
	dst = appendMember(dst, memberMAC, m.MAC[:])
	if m.Prefix.IsValid() {
		dst = appendMemberPrefix(dst, memberPrefix, m.Prefix)
	}
	dst = appendCandidateMembers(dst, m.Candidates)
	if m.Features != 0 {
		dst = appendMember32(dst, memberFeatures, m.Features)
	}
	dst = appendMember(dst, memberSigC, m.SigC[:])
	dst = appendMember(dst, memberStatement, m.Statement)
	if len(m.Token) > 0 {
		dst = appendMember(dst, memberToken, m.Token[:min(len(m.Token), MaxToken)])
	}
	if m.User != "" || m.Password != "" {
		dst = appendMemberUser(dst, cut(m.User, MaxUser), cut(m.Password, MaxPassword))
	}
	if m.Listing != nil {
		dst = m.Listing.append(dst)
	}
	return endTLV(dst, at)
}

// append appends the member with its type and length.
func (l *Listing) append(dst []byte) []byte {
	dst, at := beginTLV(dst, memberListing)
	dst = append(append(dst, l.NameHash[:]...), l.Authority[:]...)
	if l.Head != nil {
		dst = l.Head.Append(dst)
	}
	return endTLV(dst, at)
}

// listing reads the rest of the value.
func (r *reader) listing() *Listing {
	var l Listing
	r.copyTo(l.NameHash[:])
	r.copyTo(l.Authority[:])
	if len(r.b) > 0 {
		h := r.listHead()
		l.Head = &h
	}
	return &l
}

// ParseRegister reads the value of a REGISTER. Nothing in it is verified. It
// fails with ErrShort, ErrLength, ErrCritical, ErrValue, ErrMissing,
// ErrDuplicate or ErrTooMany.
func ParseRegister(value []byte) (Register, error) {
	var m Register
	set, err := eachMember(value, m.read)
	if err == nil && !set.has(memberCID, memberRPK, memberNH, memberMAC, memberSigC, memberStatement) {
		err = ErrMissing
	}
	if err != nil {
		return Register{}, err
	}
	return m, nil
}

func (m *Register) read(member uint8, r *reader) bool {
	switch member {
	case memberCID:
		r.copyTo(m.CID[:])
	case memberRPK:
		r.copyTo(m.RPK[:])
	case memberNH:
		r.copyTo(m.NH[:])
	case memberName:
		m.Name = r.text(MaxName)
	case memberMAC:
		r.copyTo(m.MAC[:])
	case memberPrefix:
		m.Prefix = r.prefix()
	case memberCandidate:
		m.Candidates = r.candidateMember(m.Candidates)
	case memberFeatures:
		m.Features = r.u32()
	case memberSigC:
		r.copyTo(m.SigC[:])
	case memberStatement:
		m.Statement = r.statement()
	case memberToken:
		m.Token = r.token()
	case memberUser:
		m.User, m.Password = r.userAndPassword()
	case memberListing:
		m.Listing = r.listing()
	default:
		return false
	}
	return true
}

// token reads the rest of the value as a token and copies it.
func (r *reader) token() []byte {
	b := r.next(len(r.b))
	if len(b) == 0 || len(b) > MaxToken {
		r.fail(ErrValue)
		return nil
	}
	return append([]byte(nil), b...)
}

// appendMemberUser appends the user name's length, the name and the password.
func appendMemberUser(dst []byte, user, password string) []byte {
	dst, at := beginTLV(dst, memberUser)
	dst = append(append(dst, byte(len(user))), user...)
	return endTLV(append(dst, password...), at)
}

// userAndPassword reads the user name's length, the name, and the rest of the
// value as the password.
func (r *reader) userAndPassword() (user, password string) {
	user = string(r.next(int(r.u8())))
	password = string(r.next(len(r.b)))
	if len(user) > MaxUser || len(password) > MaxPassword {
		r.fail(ErrValue)
	}
	return user, password
}

// appendCandidateMembers appends a member for each address.
func appendCandidateMembers(dst []byte, list []netip.AddrPort) []byte {
	for _, a := range list[:min(len(list), MaxCandidates)] {
		dst = appendMemberAddr(dst, memberCandidate, a)
	}
	return dst
}

// candidateMember reads an address and adds it to the list.
func (r *reader) candidateMember(list []netip.AddrPort) []netip.AddrPort {
	if len(list) == MaxCandidates {
		r.fail(ErrTooMany)
		return list
	}
	return append(list, r.addr())
}
