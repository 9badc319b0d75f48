package dataplane

import (
	"testing"
	"time"

	"hedgerow/protocol"
)

// TestPiecesIdle: what a peer's pieces took is freed by a sweep once none is in the
// making, and at once when the peer is gone, after which it takes nothing more.
func TestPiecesIdle(t *testing.T) {
	r, a, b := pair(t)
	v := b.view[a]
	give := func() {
		inner := make([]byte, 60_000)
		count := protocol.PieceCount(len(inner), 1400)
		for i := range count - 1 { // it never becomes whole
			b.receive(a.seal(b, protocol.AppendPiece(nil, inner, i, count)), a.addr)
		}
	}
	give()
	if n, _ := b.PieceBytes(); n == 0 || v.fragments.Held() < 50_000 {
		t.Fatalf("%d bytes held, %d shared", v.fragments.Held(), n)
	}
	b.Sweep(r.now.Add(time.Second))
	if v.fragments.Held() == 0 {
		t.Fatal("freed while an inner was in the making")
	}
	b.Sweep(r.now.Add(3 * time.Second))
	if n, _ := b.PieceBytes(); n != 0 || v.fragments.Held() != 0 {
		t.Fatalf("%d bytes held, %d shared by an idle peer", v.fragments.Held(), n)
	}
	give()
	b.Retire(v)
	give()
	if n, _ := b.PieceBytes(); n != 0 || v.fragments.Held() != 0 {
		t.Fatalf("%d bytes held, %d shared by a peer that is gone", v.fragments.Held(), n)
	}
}
