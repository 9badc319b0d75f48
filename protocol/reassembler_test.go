package protocol

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Unix(1_700_000_000, 0)

// testInner returns an inner of kind KindFrame with n bytes.
func testInner(n int, seed byte) []byte {
	b := run(seed, n)
	b[0] = 0
	return b
}

// piecesOf returns the bodies of an inner's fragments.
func piecesOf(t testing.TB, inner []byte, maxPiece int) [][]byte {
	t.Helper()
	count := PieceCount(len(inner), maxPiece)
	if count == 0 {
		t.Fatalf("%d bytes do not go into pieces of %d", len(inner), maxPiece)
	}
	var list [][]byte
	for i := range count {
		p := AppendPiece(nil, inner, i, count)
		if len(p) > maxPiece {
			t.Fatalf("piece %d of %d has %d bytes, want at most %d", i, count, len(p), maxPiece)
		}
		in, err := ParseInner(p)
		if err != nil || in.Kind != KindFragment || len(in.Body) < 2 {
			t.Fatalf("piece %d of %d: %+v, %v", i, count, in, err)
		}
		list = append(list, in.Body)
	}
	return list
}

func TestPieceCount(t *testing.T) {
	tests := []struct{ innerLen, maxPiece, want int }{
		{1, 3, 1}, {1, 2, 0}, {1, 0, 0}, {0, 100, 0}, {-1, 100, 0},
		{100, 102, 1}, {101, 102, 2}, {200, 102, 2}, {201, 102, 3},
		{128, 3, 128}, {129, 3, 0}, {MaxInner, 2000, 33}, {MaxInner + 1, 2000, 0},
	}
	for _, tt := range tests {
		if got := PieceCount(tt.innerLen, tt.maxPiece); got != tt.want {
			t.Errorf("%d bytes in pieces of %d: %d, want %d", tt.innerLen, tt.maxPiece, got, tt.want)
		}
	}
}

// TestPieces cuts many lengths and joins them in random order: no piece is
// empty, all but the last are equal, and the last is not longer.
func TestPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var r Reassembler
	for n := 1; n < 400; n++ {
		for _, maxPiece := range []int{6, 9, 50, 120, 402} {
			if PieceCount(n, maxPiece) == 0 {
				continue
			}
			inner := testInner(n, byte(n))
			list := piecesOf(t, inner, maxPiece)
			for i, p := range list[:len(list)-1] {
				if len(p) != len(list[0]) || len(list[len(list)-1]) > len(p) {
					t.Fatalf("%d bytes in %d pieces: piece %d has %d", n, len(list), i, len(p))
				}
			}
			first := random.Uint64() >> 1
			for k, i := range random.Perm(len(list)) {
				got, _, done := r.Add(epoch, 7, first+uint64(i), list[i], false)
				if done != (k == len(list)-1) {
					t.Fatalf("%d bytes, %d pieces: done %t after %d", n, len(list), done, k+1)
				}
				if done && !bytes.Equal(got, inner) {
					t.Fatalf("%d bytes, %d pieces: joined differently", n, len(list))
				}
			}
		}
	}
	if len(r.active) != 0 {
		t.Errorf("%d left over", len(r.active))
	}
}

// step is a piece that comes in.
type step struct {
	at     time.Duration
	source uint64
	ctr    uint64
	body   string
	want   string // the inner, if it completes one
}

func TestReassembler(t *testing.T) {
	const last = "\x81"
	tests := []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{0, 1, 10, "\x00\x00ab", ""}, {0, 1, 11, last + "c", "\x00abc"}}},
		{"last first", []step{{0, 1, 11, last + "c", ""}, {0, 1, 10, "\x00\x00ab", "\x00abc"}}},
		{"one piece", []step{{0, 1, 10, "\x80\x00abc", "\x00abc"}}},
		{"other source", []step{{0, 1, 10, "\x00\x00ab", ""}, {0, 2, 11, last + "c", ""}}},
		{"other run", []step{{0, 1, 10, "\x00\x00ab", ""}, {0, 1, 12, last + "c", ""}}},
		{"in time", []step{{0, 1, 10, "\x00\x00ab", ""}, {ReassemblyTimeout - 1, 1, 11, last + "c", "\x00abc"}}},
		{"late", []step{{0, 1, 10, "\x00\x00ab", ""}, {ReassemblyTimeout, 1, 11, last + "c", ""}}},
		{"twice", []step{{0, 1, 10, "\x00\x00ab", ""}, {0, 1, 10, "\x00\x00ab", ""}, {0, 1, 11, last + "c", "\x00abc"}}},
		{"last too long", []step{{0, 1, 10, "\x00\x00ab", ""}, {0, 1, 11, last + "cdef", ""}, {0, 1, 11, last + "c", "\x00abc"}}},
		{"first too short", []step{{0, 1, 11, last + "cdef", ""}, {0, 1, 10, "\x00\x00ab", ""}, {0, 1, 10, "\x00\x00abc", "\x00abccdef"}}},
		{"unequal", []step{{0, 1, 10, "\x00\x00ab", ""}, {0, 1, 11, "\x01abcd", ""}, {0, 1, 11, "\x01cde", ""}, {0, 1, 12, "\x82f", "\x00abcdef"}}},
		{"behind the last", []step{{0, 1, 11, last + "c", ""}, {0, 1, 12, "\x02xyz", ""}, {0, 1, 12, "\x82x", ""}, {0, 1, 10, "\x00\x00ab", "\x00abc"}}},
		{"last too early", []step{{0, 1, 12, "\x02def", ""}, {0, 1, 11, last + "c", ""}, {0, 1, 11, "\x01abc", ""}, {0, 1, 10, "\x00\x00ab", ""}, {0, 1, 13, "\x83g", "\x00ababcdefg"}}},
		{"counter below index", []step{{0, 1, 0, last + "c", ""}}},
		{"counter zero", []step{{0, 1, 1, last + "c", ""}, {0, 1, 0, "\x00\x00ab", "\x00abc"}}},
		{"control", []step{{0, 1, 10, "\x00\x80ab", ""}, {0, 1, 11, last + "c", "\x80abc"}}},
		{"fragment in one", []step{{0, 1, 10, "\x80\xc0abc", ""}}},
		{"fragment", []step{{0, 1, 10, "\x00\xc0ab", ""}, {0, 1, 11, last + "c", ""}}},
		{"empty", []step{{0, 1, 10, "", ""}, {0, 1, 10, "\x00", ""}, {0, 1, 10, "\x80", ""}}},
	}
	for _, tt := range tests {
		var r Reassembler
		for i, s := range tt.steps {
			got, _, done := r.Add(epoch.Add(s.at), s.source, s.ctr, []byte(s.body), false)
			if done != (s.want != "") || string(got) != s.want {
				t.Errorf("%s: step %d: %q, %t, want %q", tt.name, i, got, done, s.want)
			}
		}
	}
}

func TestReassemblerSlots(t *testing.T) {
	var r Reassembler
	for i := range uint64(ReassemblySlots + 1) { // the first one has to go
		r.Add(epoch.Add(time.Duration(i)), 1, 10*i, []byte("\x00\x00ab"), false)
	}
	if len(r.active) != ReassemblySlots {
		t.Fatalf("%d in the making, want %d", len(r.active), ReassemblySlots)
	}
	for i := range uint64(ReassemblySlots + 1) {
		if i == 0 {
			continue
		}
		if _, _, done := r.Add(epoch.Add(100), 1, 10*i+1, []byte("\x81c"), false); !done {
			t.Errorf("%d was dropped", i)
		}
	}
	if _, _, done := r.Add(epoch.Add(100), 1, 1, []byte("\x81c"), false); done {
		t.Error("the oldest was kept")
	}
}

func TestReassemblerBytes(t *testing.T) {
	var r Reassembler
	piece := append([]byte{1}, make([]byte, 2000)...)
	for i := range uint64(10_000) {
		piece[0] = byte(1 + i%30)
		r.Add(epoch, i/30, uint64(piece[0]), piece, false)
		held := 0
		for _, a := range append(r.active[:len(r.active):len(r.active)], r.free...) {
			held += a.storage()
		}
		if held != r.held || held > ReassemblyBytes {
			t.Fatalf("%d: %d bytes held, %d counted", i, held, r.held)
		}
	}
	for index := range 127 { // no inner over MaxInner is begun
		var r Reassembler
		big := append([]byte{byte(index)}, make([]byte, MaxInner)...)
		r.Add(epoch, 1, 1000, big, false)
		if len(r.active) != 0 && index > 0 {
			t.Fatalf("piece %d of %d bytes is kept", index, MaxInner)
		}
	}
	r.Expire(epoch.Add(ReassemblyTimeout))
	if r.held != 0 || r.active != nil || r.free != nil {
		t.Errorf("%d bytes held after all expired", r.held)
	}
}

// TestReassemblerOldestGrows checks that the inner whose piece came is never
// the one to go, though it is the oldest.
func TestReassemblerOldestGrows(t *testing.T) {
	var r Reassembler
	inner := testInner(60_000, 1)
	list := piecesOf(t, inner, 2002)
	r.Add(epoch, 1, 0, list[0], false)
	piece := append([]byte{0}, make([]byte, 2000)...)
	for source := range uint64(3) {
		for i := range 32 {
			piece[0] = byte(i)
			r.Add(epoch.Add(1), 2+source, uint64(i), piece, false)
		}
	}
	if len(r.active) != 4 || len(r.free) != 0 {
		t.Fatalf("%d in the making and %d free, want 4 and 0", len(r.active), len(r.free))
	}
	for i := 1; i < len(list); i++ {
		got, _, done := r.Add(epoch.Add(2), 1, uint64(i), list[i], false)
		if r.held > ReassemblyBytes {
			t.Fatalf("%d bytes held", r.held)
		}
		if done != (i == len(list)-1) || done && !bytes.Equal(got, inner) {
			t.Fatalf("piece %d: done %t", i, done)
		}
	}
	if len(r.active) != 2 {
		t.Errorf("%d in the making, want the two newest", len(r.active))
	}
}

// An inner is marked for congestion when one of its pieces is, whichever it is and
// whenever it comes, and no other inner is.
func TestMarkedPieces(t *testing.T) {
	inner := testInner(1000, 1)
	list := piecesOf(t, inner, 300)
	var r Reassembler
	for which := -1; which < len(list); which++ {
		for turn := range list {
			first := uint64(1000 * (100*which + 200 + turn))
			for k := range list {
				i := (k + turn) % len(list)
				_, marked, done := r.Add(epoch, 1, first+uint64(i), list[i], i == which)
				if done != (k == len(list)-1) || marked != (done && which >= 0) {
					t.Fatalf("piece %d marked, turn %d: after %d: marked %t, done %t", which, turn, k+1, marked, done)
				}
			}
		}
	}
	if _, marked, done := r.Add(epoch, 1, 5, []byte("\x80a"), true); !marked || !done {
		t.Errorf("one piece: marked %t, done %t", marked, done)
	}
}

// What a Reassembler holds can be added to another one, which goes on with it.
func TestPiecesAreHandedOver(t *testing.T) {
	now := time.Unix(1000, 0)
	whole := make([]byte, 250) // of three pieces of 100, 100 and 50 bytes
	for i := range whole {
		whole[i] = byte(i) & 0x3f
	}
	piece := func(index int) []byte {
		if index == 2 {
			return append([]byte{2 | lastPiece}, whole[200:]...)
		}
		return append([]byte{byte(index)}, whole[100*index:100*index+100]...)
	}
	for missing := range 3 {
		var a, b Reassembler
		for i := range 3 {
			if i != missing {
				a.Add(now, 7, 40+uint64(i), piece(i), i == 1)
			}
		}
		for source, p := range a.Pieces() {
			b.Add(now, source, p.CTR, p.Body, p.Marked)
		}
		inner, marked, done := b.Add(now, 7, 40+uint64(missing), piece(missing), missing == 1)
		if !done || !marked || !bytes.Equal(inner, whole) {
			t.Errorf("without piece %d: %d bytes, %v, %v", missing, len(inner), marked, done)
		}
	}
}
