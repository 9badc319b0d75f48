package roster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

var (
	made  = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	stale = made.Add(30 * 24 * time.Hour)
	by    = crypto.NewAuthority([32]byte{1})
	home  = &crypto.Community{Name: "listed", Secret: [32]byte{2}, Members: crypto.MembersList, Authority: by.Public()}
)

// entries returns n of them, in no order.
func entries(n int) (list []Entry) {
	for i := range n {
		var id [32]byte
		binary.LittleEndian.PutUint32(id[:], uint32(i+2)*2654435761)
		id[31] = 1
		e := Entry{ID: id, Role: Role(i % 8)}
		if i%5 == 0 {
			e.Expires = made.Add(time.Duration(i) * time.Hour)
		}
		list = append(list, e)
	}
	return list
}

func signed(t testing.TB, serial uint64, n int) *List {
	t.Helper()
	l, err := Sign(by, home.ID(), serial, made, stale, entries(n))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPieces sends lists of many sizes in pieces, in any order and some twice: each piece
// fits its bound and is checked by itself, and the result is the list.
func TestPieces(t *testing.T) {
	for _, n := range []int{1, 15, 16, 17, 32, 33, 48, 100, 1000, protocol.MaxListed - 1, protocol.MaxListed} {
		l := signed(t, 1, n)
		g, order := Gather(l.Head), rand.New(rand.NewPCG(1, uint64(n))).Perm(l.Head.Pieces())
		for _, i := range append(order[len(order)/2:], order...) {
			m, ok := l.Part(i)
			if b := m.Append(nil); !ok || len(b) > 1024 {
				t.Fatalf("%d entries: piece %d has %d bytes", n, i, len(b))
			}
			if _, err := g.Add(&m); err != nil {
				t.Fatalf("%d entries: piece %d: %v", n, i, err)
			}
		}
		if _, ok := l.Part(l.Head.Pieces()); ok {
			t.Errorf("%d entries: there is a piece too many", n)
		}
		got, err := g.List()
		if err != nil || !g.Whole() || !slices.Equal(got.Entries(), l.Entries()) {
			t.Fatalf("%d entries: %v", n, err)
		}
		file, rest, err := Parse(home, append(got.Append(nil), "more"...))
		if err != nil || string(rest) != "more" || !slices.Equal(file.Entries(), l.Entries()) {
			t.Errorf("%d entries: the file reads as %v, behind it %q", n, err, rest)
		}
	}
}

// TestWrongPieces: whatever is changed in a piece, it is found out, and what was collected
// stays as it is.
func TestWrongPieces(t *testing.T) {
	l := signed(t, 1, 100)
	g := Gather(l.Head)
	change := map[string]func(m *protocol.ListPart){
		"an entry":      func(m *protocol.ListPart) { m.Entries[3].Roles ^= uint8(Revoked) },
		"an expiry":     func(m *protocol.ListPart) { m.Entries[0].Expiry++ },
		"the index":     func(m *protocol.ListPart) { m.Index++ },
		"a far index":   func(m *protocol.ListPart) { m.Index = 0xffff },
		"the proof":     func(m *protocol.ListPart) { m.Proof[1][0]++ },
		"a short proof": func(m *protocol.ListPart) { m.Proof = m.Proof[:1] },
		"a long proof":  func(m *protocol.ListPart) { m.Proof = append(m.Proof, [32]byte{}) },
		"fewer entries": func(m *protocol.ListPart) { m.Entries = m.Entries[:15] },
		"no entries":    func(m *protocol.ListPart) { m.Entries = nil },
	}
	for name, f := range change {
		m, _ := l.Part(2)
		f(&m)
		if news, err := g.Add(&m); news || !errors.Is(err, ErrPiece) {
			t.Errorf("a piece with %s changed: %v, %v", name, news, err)
		}
	}
	other, _ := signed(t, 2, 99).Part(0)
	if news, err := g.Add(&other); news || err != nil {
		t.Errorf("a piece of another list: %v, %v", news, err)
	}
	if len(g.Want(false).Indices) != min(l.Head.Pieces(), protocol.MaxWanted) || g.Whole() {
		t.Error("something was taken")
	}
	most := Gather(signed(t, 1, 40*protocol.PieceEntries).Head)
	for _, asked := range []struct {
		again       bool
		first, last uint16
	}{{false, 0, 31}, {false, 32, 23}, {true, 0, 31}} {
		if got := most.Want(asked.again).Indices; len(got) != protocol.MaxWanted || got[0] != asked.first || got[31] != asked.last {
			t.Errorf("asked %+v: %v", asked, got)
		}
	}
}

// TestSigned: a head counts with the authority's signature alone, and which of two lists
// is the newer does not depend on who asks.
func TestSigned(t *testing.T) {
	l := signed(t, 7, 3)
	if err := Verify(home, &l.Head); err != nil {
		t.Fatal(err)
	}
	for i := range l.Head.AppendSigned(nil) {
		b := l.Head.Append(nil)
		b[i] ^= 1
		if h, err := protocol.ParseListHead(b); err == nil && Verify(home, &h) == nil {
			t.Errorf("a head with byte %d changed is believed", i)
		}
	}
	if _, err := Sign(by, home.ID(), 1, made, stale, nil); err == nil {
		t.Error("an empty list was signed")
	}
	if _, err := Sign(by, home.ID(), 1, made, stale, entries(protocol.MaxListed+1)); err == nil {
		t.Error("a list that is too long was signed")
	}
	if _, err := Sign(by, home.ID(), 1, made, stale, append(entries(2), entries(1)...)); !errors.Is(err, ErrOrder) {
		t.Errorf("a list with an identity twice: %v", err)
	}
	if _, err := Sign(by, home.ID(), 1, made, stale, []Entry{{}}); err == nil {
		t.Error("a list with an identity of zeros was signed")
	}
	later, same := signed(t, 8, 3), signed(t, 7, 4)
	if !Newer(&later.Head, &l.Head) || Newer(&l.Head, &later.Head) || Newer(&l.Head, &l.Head) || !Newer(&l.Head, nil) || Newer(nil, nil) {
		t.Error("the wrong list is the newer one")
	}
	if Newer(&same.Head, &l.Head) == Newer(&l.Head, &same.Head) {
		t.Error("of two lists with one serial none is the newer")
	}
}

// TestEntries finds entries, and when they end.
func TestEntries(t *testing.T) {
	l := signed(t, 1, 50)
	for _, want := range entries(50) {
		if got, ok := l.Find(want.ID); !ok || got != want {
			t.Errorf("%x is %v", want.ID, got)
		}
	}
	if _, ok := l.Find([32]byte{9, 9}); ok {
		t.Error("somebody is in the list who is not")
	}
	if got := l.Ends(made); !got.Equal(made.Add(5 * time.Hour)) {
		t.Errorf("the next entry ends at %v", got)
	}
	e := Entry{Expires: made}
	if e.Expired(made.Add(-1)) || !e.Expired(made) || e.Expired(time.Time{}) || (Entry{}).Expired(made) {
		t.Error("an entry ends at the wrong time")
	}
	for name, role := range map[string]Role{"plain": 0, "bridge": Bridge, "hub": Hub, "router": Router} {
		if got, err := ParseRole(name); err != nil || got != role {
			t.Errorf("%s is %v, %v", name, got, err)
		}
	}
	if _, err := ParseRole("king"); err == nil {
		t.Error("king is a role")
	}
}

// FuzzParse reads files: what reads is what would be written.
func FuzzParse(f *testing.F) {
	f.Add(signed(f, 3, 20).Append(nil))
	f.Add(signed(f, 1, 1).Append([]byte{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, rest, err := Parse(home, b)
		if err == nil && !bytes.Equal(append(l.Append(nil), rest...), b) {
			t.Error("another list is written than was read")
		}
	})
}

// FuzzPart offers a gathering whatever parses as a piece: nothing but the list's own
// pieces is taken.
func FuzzPart(f *testing.F) {
	l := signed(f, 3, 40)
	for i := range l.Head.Pieces() {
		m, _ := l.Part(i)
		f.Add(m.Append(nil)[3:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := protocol.ParseListPart(b)
		if err != nil {
			return
		}
		news, _ := Gather(l.Head).Add(&m)
		real, ok := l.Part(int(m.Index))
		if news && (!ok || !bytes.Equal(real.Append(nil)[3:], b)) {
			t.Error("a piece that is not of the list was taken")
		}
	})
}
