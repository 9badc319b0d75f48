package protocol

import "encoding/binary"

// Bounds of a list of members. A piece and its proof go in one packet.
const (
	// PieceEntries is how many entries each piece has, the last one perhaps fewer.
	PieceEntries = 16
	// MaxProof is how many hashes the proof of a piece has at most: a list has at most
	// 1<<MaxProof pieces.
	MaxProof = 10
	// MaxListed is how many entries a list has at most.
	MaxListed = PieceEntries << MaxProof
	// MaxWanted is how many pieces one LISTWANT asks for.
	MaxWanted = 32
)

// ListHead is what the authority of a community signs of a list of members. It names
// the whole list.
type ListHead struct {
	// Serial rises with each list.
	Serial uint64
	// Made and Stale are times in unix seconds: when the list was signed, and from when
	// on its readers say that there should be a newer one.
	Made, Stale uint64
	// Count is how many entries the list has, 1 to MaxListed.
	Count uint16
	// Root is the root of the tree of hashes over the pieces.
	Root [32]byte
	// Sig is the authority's Ed25519 signature over "hedgerow/1 list", CID and the
	// fields up to here.
	Sig [64]byte
}

// ListHeadLen is the size of a head in bytes.
const ListHeadLen = 8 + 8 + 8 + 2 + 32 + 64

// Append appends the head, ListHeadLen bytes.
func (h *ListHead) Append(dst []byte) []byte {
	return append(h.AppendSigned(dst), h.Sig[:]...)
}

// AppendSigned appends the part that the signature covers, 58 bytes.
func (h *ListHead) AppendSigned(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, h.Serial)
	dst = binary.BigEndian.AppendUint64(dst, h.Made)
	dst = binary.BigEndian.AppendUint64(dst, h.Stale)
	dst = binary.BigEndian.AppendUint16(dst, h.Count)
	return append(dst, h.Root[:]...)
}

// Pieces returns how many pieces the list has.
func (h *ListHead) Pieces() int { return (int(h.Count) + PieceEntries - 1) / PieceEntries }

// PieceLen returns how many entries a piece has, 0: there is no such piece.
func (h *ListHead) PieceLen(index int) int {
	return max(0, min(PieceEntries, int(h.Count)-index*PieceEntries))
}

// ParseListHead reads a head. It does not check the signature. It fails with ErrShort,
// ErrLength, and with ErrValue for a count of 0 or above MaxListed.
func ParseListHead(b []byte) (ListHead, error) {
	r := reader{b: b}
	h := r.listHead()
	return h, r.done()
}

// listHead reads a head.
func (r *reader) listHead() ListHead {
	h := ListHead{Serial: r.u64(), Made: r.u64(), Stale: r.u64(), Count: r.u16()}
	r.copyTo(h.Root[:])
	r.copyTo(h.Sig[:])
	if h.Count == 0 || int(h.Count) > MaxListed {
		r.fail(ErrValue)
	}
	return h
}

// List says which list of members its sender has.
type List struct {
	// Keys is the version of the last KEYUPDATE that the sender has, 0 for none.
	Keys uint64
	// Head is the list's; nil: the sender has none.
	Head *ListHead
}

// Append appends the message with its type and length.
func (m *List) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgList)
	dst = binary.BigEndian.AppendUint64(dst, m.Keys)
	if m.Head != nil {
		dst = m.Head.Append(dst)
	}
	return endTLV(dst, at)
}

// ParseList reads the value of a LIST. It does not check the signature. It fails as
// ParseListHead does.
func ParseList(value []byte) (List, error) {
	r := reader{b: value}
	m := List{Keys: r.u64()}
	if len(r.b) > 0 {
		h := r.listHead()
		m.Head = &h
	}
	return m, r.done()
}

// ListWant asks for pieces of a list.
type ListWant struct {
	// Tag is the first eight bytes of the list's root.
	Tag [8]byte
	// Indices are those of 1 to MaxWanted pieces, from 0.
	Indices []uint16
}

// Append appends the message with its type and length. Indices beyond MaxWanted are left
// out.
func (m *ListWant) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgListWant)
	dst = append(dst, m.Tag[:]...)
	for _, i := range m.Indices[:min(len(m.Indices), MaxWanted)] {
		dst = binary.BigEndian.AppendUint16(dst, i)
	}
	return endTLV(dst, at)
}

// ParseListWant reads the value of a LISTWANT. It fails with ErrShort, and with
// ErrTooMany; one that asks for nothing is ErrShort.
func ParseListWant(value []byte) (ListWant, error) {
	r := reader{b: value}
	var m ListWant
	r.copyTo(m.Tag[:])
	for first := true; first || len(r.b) > 0; first = false {
		if len(m.Indices) == MaxWanted {
			r.fail(ErrTooMany)
			break
		}
		m.Indices = append(m.Indices, r.u16())
	}
	return m, r.done()
}

// Listed is one entry of a list of members.
type Listed struct {
	// ID is the member's identity.
	ID [32]byte
	// Roles are bits, which package roster names.
	Roles uint8
	// Expiry is in unix seconds, 0: the entry does not expire.
	Expiry uint64
}

// ListedLen is the size of an entry in bytes.
const ListedLen = 32 + 1 + 8

// Append appends the entry, ListedLen bytes.
func (e *Listed) Append(dst []byte) []byte {
	dst = append(append(dst, e.ID[:]...), e.Roles)
	return binary.BigEndian.AppendUint64(dst, e.Expiry)
}

// ParseListed reads entries, one behind the other. It fails with ErrShort if the last
// one is not whole.
func ParseListed(b []byte) ([]Listed, error) {
	r := reader{b: b}
	list := make([]Listed, 0, len(b)/ListedLen)
	for len(r.b) > 0 {
		list = append(list, r.listed())
	}
	return list, r.done()
}

// listed reads an entry.
func (r *reader) listed() (e Listed) {
	r.copyTo(e.ID[:])
	e.Roles, e.Expiry = r.u8(), r.u64()
	return e
}

// ListPart is a piece of a list, with what shows that it is one.
type ListPart struct {
	// Tag is the first eight bytes of the list's root.
	Tag [8]byte
	// Index is the piece's, from 0.
	Index uint16
	// Entries are 1 to PieceEntries.
	Entries []Listed
	// Proof has a hash for each level of the tree, from the piece upwards, at most
	// MaxProof.
	Proof [][32]byte
}

// Append appends the message with its type and length.
func (m *ListPart) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgListPart)
	dst = append(dst, m.Tag[:]...)
	dst = binary.BigEndian.AppendUint16(dst, m.Index)
	dst = append(dst, byte(len(m.Entries)))
	for i := range m.Entries {
		dst = m.Entries[i].Append(dst)
	}
	for i := range m.Proof {
		dst = append(dst, m.Proof[i][:]...)
	}
	return endTLV(dst, at)
}

// ParseListPart reads the value of a LISTPART. The proof is not checked. It fails with
// ErrShort, with ErrTooMany, and with ErrValue for a piece without entries.
func ParseListPart(value []byte) (ListPart, error) {
	r := reader{b: value}
	var m ListPart
	r.copyTo(m.Tag[:])
	m.Index = r.u16()
	n := int(r.u8())
	if n == 0 {
		r.fail(ErrValue)
	}
	if n > PieceEntries || len(r.b) > n*ListedLen+MaxProof*32 {
		r.fail(ErrTooMany)
		return m, r.done()
	}
	for range n {
		m.Entries = append(m.Entries, r.listed())
	}
	for len(r.b) > 0 {
		var hash [32]byte
		r.copyTo(hash[:])
		m.Proof = append(m.Proof, hash)
	}
	return m, r.done()
}
