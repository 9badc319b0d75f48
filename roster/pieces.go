package roster

import (
	"fmt"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// depth returns how many levels are between a list's pieces and its root.
func depth(pieces int) (n int) {
	for 1<<n < pieces {
		n++
	}
	return n
}

// grow makes the tree of hashes: the pieces' at the bottom, the root alone on top. Where a
// level ends early the neighbour that is missing has a hash of zeros.
func (l *List) grow() {
	level := make([][32]byte, l.Head.Pieces())
	for i := range level {
		level[i] = crypto.PieceHash(appendEntries(nil, l.piece(i)))
	}
	l.tree = [][][32]byte{level}
	for len(level) > 1 {
		above := make([][32]byte, (len(level)+1)/2)
		for i := range above {
			above[i] = crypto.NodeHash(level[2*i], at(level, 2*i+1))
		}
		level = above
		l.tree = append(l.tree, level)
	}
}

// at returns a hash of a level, zeros where it ends.
func at(level [][32]byte, i int) (h [32]byte) {
	if i < len(level) {
		return level[i]
	}
	return h
}

// root returns the hash on top.
func (l *List) root() [32]byte { return l.tree[len(l.tree)-1][0] }

// piece returns the entries of a piece.
func (l *List) piece(index int) []Entry {
	from := index * protocol.PieceEntries
	return l.entries[from : from+l.Head.PieceLen(index)]
}

// Part returns a piece of the list with its proof. ok: there is one.
func (l *List) Part(index int) (m protocol.ListPart, ok bool) {
	if index < 0 || index >= l.Head.Pieces() {
		return m, false
	}
	m = protocol.ListPart{Tag: Tag(&l.Head), Index: uint16(index), Entries: onWire(l.piece(index))}
	for i, level := range l.tree[:len(l.tree)-1] {
		m.Proof = append(m.Proof, at(level, index>>i^1))
	}
	return m, true
}

// onWire returns entries as they are in messages.
func onWire(entries []Entry) []protocol.Listed {
	list := make([]protocol.Listed, len(entries))
	for i, e := range entries {
		list[i] = protocol.Listed{ID: e.ID, Roles: uint8(e.Role), Expiry: seconds(e.Expires)}
	}
	return list
}

// fromWire returns entries of a message.
func fromWire(list []protocol.Listed) []Entry {
	entries := make([]Entry, len(list))
	for i, e := range list {
		entries[i] = Entry{ID: e.ID, Role: Role(e.Roles), Expires: moment(e.Expiry)}
	}
	return entries
}

func appendEntries(b []byte, entries []Entry) []byte {
	for _, e := range onWire(entries) {
		b = e.Append(b)
	}
	return b
}

// hashOf returns the root that a piece and its proof lead to.
func hashOf(m *protocol.ListPart) [32]byte {
	var b []byte
	for i := range m.Entries {
		b = m.Entries[i].Append(b)
	}
	hash := crypto.PieceHash(b)
	for i, other := range m.Proof {
		if int(m.Index)>>i&1 == 0 {
			hash = crypto.NodeHash(hash, other)
		} else {
			hash = crypto.NodeHash(other, hash)
		}
	}
	return hash
}

// Gathering is a list of which pieces are being collected. It holds what the head
// promises at most, and nothing but checked pieces.
type Gathering struct {
	head   protocol.ListHead
	pieces [][]Entry
	left   int
	cursor int // where the next question begins
	open   int // pieces that were asked for and have not come
}

// Gather begins to collect a list whose head was verified.
func Gather(h protocol.ListHead) *Gathering {
	return &Gathering{head: h, pieces: make([][]Entry, h.Pieces()), left: h.Pieces()}
}

// Head returns the head of the list.
func (g *Gathering) Head() *protocol.ListHead { return &g.head }

// Want returns the question for the next pieces, those behind what was asked for last and
// around; again: for the first ones that are missing. The list is not whole.
func (g *Gathering) Want(again bool) protocol.ListWant {
	if again {
		g.cursor = 0
	}
	m := protocol.ListWant{Tag: Tag(&g.head)}
	from := g.cursor
	for i := range g.pieces {
		if len(m.Indices) == protocol.MaxWanted {
			break
		}
		if n := (from + i) % len(g.pieces); g.pieces[n] == nil {
			m.Indices = append(m.Indices, uint16(n))
			g.cursor = n + 1
		}
	}
	g.open = len(m.Indices)
	return m
}

// Answered reports whether as many pieces have come as were asked for last.
func (g *Gathering) Answered() bool { return g.open <= 0 }

// Add takes a piece. news: it had not come before. It fails with ErrPiece for one that is
// not of the list.
func (g *Gathering) Add(m *protocol.ListPart) (news bool, err error) {
	index := int(m.Index)
	switch {
	case m.Tag != Tag(&g.head):
		return false, nil // of another list, perhaps one that was asked for before
	case index >= len(g.pieces), len(m.Entries) != g.head.PieceLen(index), len(m.Proof) != depth(len(g.pieces)), hashOf(m) != g.head.Root:
		return false, ErrPiece
	case g.pieces[index] != nil:
		return false, nil
	}
	g.pieces[index] = fromWire(m.Entries)
	g.left--
	g.open--
	return true, nil
}

// Whole reports whether all pieces have come.
func (g *Gathering) Whole() bool { return g.left == 0 }

// List returns the list once it is whole. It fails with ErrOrder for one that the
// authority should not have signed.
func (g *Gathering) List() (*List, error) {
	l := &List{Head: g.head}
	for _, piece := range g.pieces {
		l.entries = append(l.entries, piece...)
	}
	return l, l.finish()
}

// finish checks a list that has its head and its entries, and makes its tree.
func (l *List) finish() error {
	if err := l.check(); err != nil {
		return err
	}
	if l.grow(); l.root() != l.Head.Root {
		return ErrRoot
	}
	return nil
}

// Append appends the list's file to dst: the head, and all entries.
func (l *List) Append(dst []byte) []byte {
	return appendEntries(l.Head.Append(dst), l.entries)
}

// MaxSize is the largest list in bytes, as Append writes it.
const MaxSize = protocol.ListHeadLen + protocol.MaxListed*protocol.ListedLen

// Parse reads what Append writes, and returns what is behind it. The signature is
// verified: it fails with crypto.ErrAuthority, ErrOrder, ErrRoot, or as the parsers of
// package protocol do.
func Parse(c Verifier, b []byte) (l *List, rest []byte, err error) {
	if len(b) < protocol.ListHeadLen {
		return nil, nil, protocol.ErrShort
	}
	h, err := protocol.ParseListHead(b[:protocol.ListHeadLen])
	if err != nil {
		return nil, nil, err
	}
	b = b[protocol.ListHeadLen:]
	size := int(h.Count) * protocol.ListedLen
	if len(b) < size {
		return nil, nil, fmt.Errorf("%w: %d of %d entries", protocol.ErrShort, len(b)/protocol.ListedLen, h.Count)
	}
	if err := Verify(c, &h); err != nil {
		return nil, nil, err
	}
	entries, err := protocol.ParseListed(b[:size])
	if err != nil {
		return nil, nil, err
	}
	l = &List{Head: h, entries: fromWire(entries)}
	return l, b[size:], l.finish()
}
