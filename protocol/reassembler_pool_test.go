package protocol

import (
	"math/rand/v2"
	"testing"
	"time"
)

// fill gives a reassembler pieces of inners that never become whole, n bytes each.
func fill(r *Reassembler, now time.Time, inners, n int) {
	piece := make([]byte, 1+n)
	piece[0] = 1 // not the first, not the last
	for i := range inners {
		r.Add(now, 1, uint64(1000*i+1), piece, false)
	}
}

// TestReassemblyIdle: memory that was used once is freed when nothing more comes.
func TestReassemblyIdle(t *testing.T) {
	var pool ReassemblyPool
	r := Reassembler{Pool: &pool}
	for _, p := range piecesOf(t, testInner(60_000, 1), 1400) {
		r.Add(epoch, 1, 100+uint64(p[0]&0x7f), p, false)
	}
	fill(&r, epoch, 20, 1400)
	if r.Held() <= ReassemblyOwn || pool.Taken() == 0 {
		t.Fatalf("%d bytes held, %d of the pool", r.Held(), pool.Taken())
	}
	r.Expire(epoch.Add(ReassemblyTimeout))
	if r.Held() != 0 || pool.Taken() != 0 {
		t.Fatalf("%d bytes held, %d of the pool when idle", r.Held(), pool.Taken())
	}
}

// TestReassemblyPool: peers that send pieces without end hold what each has for
// itself and the pool, no more; and another peer's frame of the largest MTU is
// joined all the same.
func TestReassemblyPool(t *testing.T) {
	var pool ReassemblyPool
	peers := make([]Reassembler, 200)
	held := 0
	for i := range peers {
		peers[i].Pool = &pool
		fill(&peers[i], epoch, ReassemblySlots+9, 1900)
		if n := peers[i].Held(); n > ReassemblyBytes {
			t.Fatalf("peer %d holds %d bytes", i, n)
		}
		held += peers[i].Held()
	}
	if most := len(peers)*ReassemblyOwn + ReassemblyShared; held > most || pool.Taken() > ReassemblyShared {
		t.Fatalf("%d bytes held, %d at most; %d of the pool", held, most, pool.Taken())
	}
	if pool.Taken() < ReassemblyShared-ReassemblyBytes {
		t.Fatalf("only %d of the pool are taken", pool.Taken())
	}
	honest := Reassembler{Pool: &pool}
	joined := 0
	inner := testInner(9060, 1)
	for i := range 20 {
		for _, p := range piecesOf(t, inner, 1400) {
			if whole, _, ok := honest.Add(epoch, 1, uint64(100*i)+uint64(p[0]&0x7f), p, false); ok && len(whole) == len(inner) {
				joined++
			}
		}
	}
	if joined != 20 {
		t.Fatalf("%d of 20 frames joined beside peers that fill the pool", joined)
	}
	for i := range peers {
		peers[i].Release()
	}
	honest.Expire(epoch.Add(time.Hour))
	if pool.Taken() != 0 {
		t.Fatalf("%d bytes of the pool were not given back", pool.Taken())
	}
}

// TestReassemblyAccounts: whatever comes, what a reassembler says that it holds is
// what its buffers take, and is within its bounds.
func TestReassemblyAccounts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pool := ReassemblyPool{}
	pool.take(ReassemblyShared - 100_000) // others
	r, now := Reassembler{Pool: &pool}, epoch
	for range 100_000 {
		now = now.Add(time.Duration(random.IntN(int(20 * time.Millisecond))))
		body := make([]byte, random.IntN(1500))
		for i := range min(len(body), 2) {
			body[i] = byte(random.Uint32())
		}
		r.Add(now, uint64(random.IntN(3)), random.Uint64N(400), body, false)
		real := 0
		for _, list := range [][]*assembly{r.active, r.free} {
			for _, a := range list {
				real += a.storage()
			}
		}
		if real != r.held || r.held > ReassemblyOwn+r.granted || pool.Taken() > ReassemblyShared {
			t.Fatalf("holds %d, says %d, has %d of the pool", real, r.held, r.granted)
		}
	}
	if r.granted == 0 {
		t.Fatal("the pool was never used")
	}
}
