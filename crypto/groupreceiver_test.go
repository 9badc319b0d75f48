package crypto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"
)

// sGroup is a receiver, and the means to send to it.
type sGroup struct {
	t  testing.TB
	c  *Community
	r  *GroupReceiver
	sc *Scratch
}

func newSGroup(t testing.TB) *sGroup {
	c := &Community{Name: "lab", Secret: [32]byte{1}, Epochs: []Epoch{{Index: 0, Key: [32]byte{2}}, {Index: 1, Key: [32]byte{3}}}}
	return &sGroup{t, c, NewGroupReceiver(c), NewScratch()}
}

// salt returns salt number n, made at that time.
func (g *sGroup) salt(n int, at time.Time) (salt [16]byte) {
	binary.BigEndian.PutUint32(salt[:], uint32(at.Unix()))
	binary.BigEndian.PutUint64(salt[8:], uint64(n))
	return salt
}

// packet returns a packet under a salt.
func (g *sGroup) packet(salt [16]byte, ctr uint64) []byte {
	s := &GroupSender{salt: salt, xf: xfGroupGCM, aead: groupAEAD(g.c.ID(), g.c.Epochs[0], groupSalt{salt, 0, xfGroupGCM})}
	return s.Seal(g.sc, sPacket(sHeader(typeGroup, xfGroupGCM, 0, g.c.Tag(), ctr), salt[:], []byte("frame")))
}

// open opens one and checks the outcome.
func (g *sGroup) open(now time.Time, pkt []byte, wantFrom byte, want error) {
	g.t.Helper()
	inner, from, isVouched, err := g.r.Open(g.sc, now, bytes.Clone(pkt), sCanReceive(g.c))
	if err != want || from != [32]byte{wantFrom} || isVouched != (wantFrom != 0) {
		g.t.Fatalf("from %d, vouched %v, error %v; want %d and %v", from[0], isVouched, err, wantFrom, want)
	}
	if ok := want == nil || want == ErrStaleSalt; ok != (string(inner) == "frame") {
		g.t.Fatalf("inner %q with error %v", inner, err)
	}
}

func (g *sGroup) vouch(now time.Time, from byte, salt [16]byte) {
	g.r.Vouch(now, [32]byte{from}, 0, xfGroupGCM, salt)
}

// check recounts the table.
func (g *sGroup) check() {
	g.t.Helper()
	var count [3]int
	for _, e := range g.r.entries {
		count[e.standing]++
	}
	if count != g.r.count {
		g.t.Fatalf("counted %v, says %v", count, g.r.count)
	}
	if count[unvouched] > groupUnvouched || count[stale] > groupStale || len(g.r.senders) > groupSenders || len(g.r.retired) > groupRetired {
		g.t.Fatalf("%v entries, %d senders, %d retired", count, len(g.r.senders), len(g.r.retired))
	}
}

// TestGroupTimeRule: nobody's salts count near their own time only, and what
// is outside still says that it opened.
func TestGroupTimeRule(t *testing.T) {
	g := newSGroup(t)
	for i, tt := range []struct {
		made time.Duration
		want error
	}{
		{0, nil}, {-720 * time.Second, nil}, {-721 * time.Second, ErrStaleSalt},
		{720 * time.Second, nil}, {721 * time.Second, ErrStaleSalt}, {-1e9 * time.Second, ErrStaleSalt},
	} {
		pkt := g.packet(g.salt(i, sNow.Add(tt.made)), 7)
		g.open(sNow, pkt, 0, tt.want)
		g.open(sNow, pkt, 0, ErrReplay)
	}
	// A known salt whose time runs out while it is in use.
	salt := g.salt(9, sNow)
	g.open(sNow.Add(720*time.Second), g.packet(salt, 1), 0, nil)
	g.open(sNow.Add(721*time.Second), g.packet(salt, 2), 0, ErrStaleSalt)
	g.check()
}

// TestGroupVouched: a vouched salt needs no time, and its window stays when it
// was first seen without.
func TestGroupVouched(t *testing.T) {
	g := newSGroup(t)
	old := g.salt(1, sNow.Add(-time.Hour))
	g.vouch(sNow, 1, old)
	g.open(sNow, g.packet(old, 0), 1, nil)
	g.open(sNow, g.packet(old, 0), 0, ErrReplay)

	fresh := g.salt(2, sNow)
	g.open(sNow, g.packet(fresh, 0), 0, nil)
	g.vouch(sNow, 2, fresh)
	g.open(sNow, g.packet(fresh, 0), 0, ErrReplay)
	g.open(sNow, g.packet(fresh, 1), 2, nil)

	// Staged as stale, vouched for a moment later: no second delivery.
	late := g.salt(3, sNow.Add(time.Hour))
	g.open(sNow, g.packet(late, 5), 0, ErrStaleSalt)
	g.vouch(sNow, 3, late)
	g.open(sNow, g.packet(late, 5), 0, ErrReplay)
	g.open(sNow, g.packet(late, 6), 3, nil)

	// Whoever vouches second gets nothing.
	g.vouch(sNow, 4, fresh)
	g.open(sNow, g.packet(fresh, 2), 2, nil)
	g.check()
}

// TestGroupNewestTwo: the third salt of a sender displaces the first, which
// must not come back as a stranger's with an empty window.
func TestGroupNewestTwo(t *testing.T) {
	g := newSGroup(t)
	var salts [3][16]byte
	for i := range salts {
		salts[i] = g.salt(i, sNow)
		g.vouch(sNow, 1, salts[i])
		g.vouch(sNow, 1, salts[i]) // again, with every new session
		g.open(sNow, g.packet(salts[i], 1), 1, nil)
	}
	g.open(sNow, g.packet(salts[0], 1), 0, ErrReplay)
	g.open(sNow, g.packet(salts[0], 2), 0, ErrReplay)
	g.vouch(sNow, 1, salts[0])
	g.open(sNow, g.packet(salts[0], 3), 0, ErrReplay)
	g.open(sNow, g.packet(salts[1], 2), 1, nil)
	g.open(sNow, g.packet(salts[2], 2), 1, nil)
	// After its time it is a stranger's stale salt, which nothing delivers.
	later := sNow.Add(721 * time.Second)
	g.r.Sweep(later)
	if len(g.r.retired) != 0 {
		t.Fatal("remembered for too long")
	}
	g.open(later, g.packet(salts[0], 1), 0, ErrStaleSalt)
	g.check()
}

// TestGroupRetiredFull: when no more displaced salts can be remembered, they
// stay in the table with their windows.
func TestGroupRetiredFull(t *testing.T) {
	g := newSGroup(t)
	for i := range groupRetired {
		g.r.retired[groupSalt{g.salt(i, sNow), 9, 9}] = sNow.Add(saltAcceptance)
	}
	var salts [3][16]byte
	for i := range salts {
		salts[i] = g.salt(i, sNow)
		g.vouch(sNow, 1, salts[i])
		g.open(sNow, g.packet(salts[i], 1), 1, nil)
	}
	g.open(sNow, g.packet(salts[0], 1), 0, ErrReplay)
	g.open(sNow, g.packet(salts[0], 2), 0, nil)
	g.check()
}

// TestGroupBudget: 200 unknown salts a second, counted before they are opened;
// known ones are free.
func TestGroupBudget(t *testing.T) {
	g := newSGroup(t)
	known := g.salt(-1, sNow)
	g.vouch(sNow, 1, known)
	forged := g.packet(g.salt(0, sNow), 0)
	forged[40] ^= 1
	for range saltBurst {
		g.open(sNow, forged, 0, ErrOpen)
	}
	good := g.packet(g.salt(1, sNow), 0)
	g.open(sNow, good, 0, ErrBudget)
	g.open(sNow, g.packet(known, 0), 1, nil)
	g.open(sNow.Add(5*time.Millisecond), good, 0, nil)
	g.open(sNow.Add(6*time.Millisecond), g.packet(g.salt(2, sNow), 0), 0, ErrBudget)
	g.open(sNow.Add(6*time.Millisecond), g.packet(g.salt(1, sNow), 1), 0, nil)
	// What is no packet of this community costs nobody anything.
	g.open(sNow.Add(time.Hour), forged[:47], 0, ErrOpen)
	alien := bytes.Clone(good)
	alien[offRX] ^= 1
	before := g.r.budget
	g.open(sNow.Add(time.Hour), alien, 0, ErrOpen)
	if g.r.budget != before {
		t.Fatal("a token for a packet of another community")
	}
	g.check()
}

// TestGroupFull: a full table refuses new salts and keeps the old; those that
// sessions vouch for have room of their own.
func TestGroupFull(t *testing.T) {
	g := newSGroup(t)
	now := sNow
	first := g.packet(g.salt(0, now), 0)
	for i := range groupUnvouched {
		now = now.Add(5 * time.Millisecond)
		g.open(now, g.packet(g.salt(i, sNow), 0), 0, nil)
	}
	now = now.Add(time.Second)
	more := g.packet(g.salt(groupUnvouched, sNow), 0)
	g.open(now, more, 0, ErrBudget)
	g.open(now, first, 0, ErrReplay)
	g.vouch(now, 1, g.salt(groupUnvouched, sNow))
	g.open(now, more, 1, nil)

	for i := range groupStale + 1 {
		want := ErrStaleSalt
		if i == groupStale {
			want = ErrBudget
		}
		g.open(now.Add(time.Duration(i)*5*time.Millisecond), g.packet(g.salt(i, sNow.Add(-time.Hour)), 0), 0, want)
	}
	g.check()
	g.r.Sweep(now.Add(11 * time.Second))
	if g.r.count != [3]int{groupUnvouched, 1, 0} {
		t.Fatalf("%v after 11 s", g.r.count)
	}
	// Inside its time an entry stays, used or not.
	g.r.Sweep(sNow.Add(saltAcceptance))
	if g.r.count[unvouched] != groupUnvouched {
		t.Fatal("evicted inside its time")
	}
	g.r.Sweep(now.Add(saltAcceptance + time.Second))
	if g.r.count != [3]int{} {
		t.Fatalf("%v after its time", g.r.count)
	}
	g.check()
}

func TestGroupSenderBound(t *testing.T) {
	g := newSGroup(t)
	for i := range groupSenders + 10 {
		var from [32]byte
		binary.BigEndian.PutUint32(from[:], uint32(i)+1)
		for j := range 3 {
			g.r.Vouch(sNow, from, 0, xfGroupGCM, g.salt(3*i+j, sNow))
		}
	}
	g.check()
	if g.r.count[vouched] != 2*groupSenders || len(g.r.retired) != groupSenders {
		t.Fatal(g.r.count, len(g.r.retired))
	}
	g.r.Sweep(sNow.Add(saltAcceptance + time.Second))
	if len(g.r.entries) != 0 || len(g.r.senders) != 0 || len(g.r.retired) != 0 {
		t.Fatal("not swept", g.r.count)
	}
}

// TestGroupAhead: when a sender whose clock is ahead is forgotten, its salts
// are not taken for new ones when their time comes.
func TestGroupAhead(t *testing.T) {
	g := newSGroup(t)
	salt := g.salt(1, sNow.Add(5*time.Hour))
	g.vouch(sNow, 1, salt)
	g.open(sNow, g.packet(salt, 1), 1, nil)
	g.r.Sweep(sNow.Add(time.Hour))
	if len(g.r.entries) != 0 {
		t.Fatal("not swept")
	}
	g.open(sNow.Add(5*time.Hour), g.packet(salt, 1), 0, ErrReplay)
	g.r.Sweep(sNow.Add(6 * time.Hour))
	if len(g.r.retired) != 0 {
		t.Fatal("remembered for too long")
	}
}

func TestGroupReplace(t *testing.T) {
	g := newSGroup(t)
	kept, gone := g.salt(1, sNow), g.salt(2, sNow)
	g.open(sNow, g.packet(kept, 1), 0, nil)
	g.vouch(sNow, 1, gone)
	g.r.Vouch(sNow, [32]byte{1}, 1, xfGroupGCM, gone) // under epoch 1
	next := *g.c
	next.Epochs = []Epoch{g.c.Epochs[0], {Index: 2, Key: [32]byte{4}}}
	g.r.Replace(&next)
	g.c = &next
	g.open(sNow, g.packet(kept, 1), 0, ErrReplay)
	g.open(sNow, g.packet(gone, 1), 1, nil)
	if len(g.r.entries) != 2 {
		t.Fatal(len(g.r.entries))
	}
	g.check()
	other := next
	other.Secret[0] ^= 1
	g.r.Replace(&other)
	if len(g.r.entries) != 0 {
		t.Fatal("salts of another community stayed")
	}
	g.check()
}

// TestGroupEpochEnds: canReceive rules over known salts too.
func TestGroupEpochEnds(t *testing.T) {
	g := newSGroup(t)
	salt := g.salt(1, sNow)
	g.vouch(sNow, 1, salt)
	g.open(sNow, g.packet(salt, 0), 1, nil)
	never := func(uint8) (Epoch, bool) { return Epoch{}, false }
	if _, _, _, err := g.r.Open(g.sc, sNow, g.packet(salt, 1), never); err != ErrOpen {
		t.Fatal(err)
	}
	g.open(sNow, g.packet(salt, 1), 1, nil)
}

// TestGroupRace: the same packets to several goroutines are opened once.
func TestGroupRace(t *testing.T) {
	g := newSGroup(t)
	var packets [][]byte
	for i := range 40 {
		for ctr := range uint64(10) {
			packets = append(packets, g.packet(g.salt(i, sNow), ctr))
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	opened := make(map[string]int)
	for range 4 {
		wg.Go(func() {
			sc := NewScratch()
			for i, pkt := range packets {
				if i%100 == 50 {
					g.r.Sweep(sNow)
					g.vouch(sNow, byte(i/100), g.salt(i/10, sNow))
				}
				if _, _, _, err := g.r.Open(sc, sNow, bytes.Clone(pkt), sCanReceive(g.c)); err == nil {
					mu.Lock()
					opened[string(pkt)]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for _, pkt := range packets {
		if opened[string(pkt)] != 1 {
			t.Fatalf("%x opened %d times", pkt[:32], opened[string(pkt)])
		}
	}
	g.check()
}

func TestGroupAllocates(t *testing.T) {
	for _, vouch := range []bool{false, true} {
		g := newSGroup(t)
		s, err := NewGroupSender(g.c, g.c.Epochs[0], xfGroupGCM, sNow, nil)
		if err != nil {
			t.Fatal(err)
		}
		if vouch {
			g.vouch(sNow, 1, s.Salt())
		}
		canReceive, tag, buf := sCanReceive(g.c), g.c.Tag(), make([]byte, 0, 2048)
		n := testing.AllocsPerRun(200, func() {
			ctr, _ := s.Reserve(1)
			hdr := sHeader(typeGroup, xfGroupGCM, 0, tag, ctr)
			pkt := s.Seal(g.sc, append(buf, hdr[:]...)[:1400])
			if _, _, _, err := g.r.Open(g.sc, sNow, pkt, canReceive); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("vouched %v: %v allocations", vouch, n)
		}
	}
}

func FuzzGroupOpen(f *testing.F) {
	vectors := sVectors[sGroupVector](f, "group.json")
	for i, v := range vectors {
		f.Add(byte(i), false, []byte(v.Packet))
		f.Add(byte(i), true, []byte(v.Packet))
	}
	f.Fuzz(func(t *testing.T, which byte, sealIt bool, pkt []byte) {
		v, sc := vectors[int(which)%len(vectors)], NewScratch()
		c, now := v.community(), time.Unix(v.Unix, 0)
		r := NewGroupReceiver(c)
		// Past the gate: the fuzzer's header, salt and inner, sealed by a member.
		if sealIt && len(pkt) >= 32 {
			pkt = bytes.Clone(pkt)
			copy(pkt, v.Header[:8])
			salt := [16]byte(pkt[16:32])
			s := &GroupSender{salt: salt, aead: groupAEAD(c.ID(), c.Epochs[0], groupSalt{salt, v.KI, v.XF})}
			pkt = s.Seal(sc, pkt)
		}
		inner, _, _, err := r.Open(sc, now, bytes.Clone(pkt), sCanReceive(c))
		if err == nil && !sealIt && !bytes.Equal(inner, v.Inner) {
			t.Fatalf("forged: %x", inner)
		}
		if sealIt && len(pkt) >= groupMin && err != nil && err != ErrStaleSalt {
			t.Fatalf("refused: %v", err)
		}
		if err == nil {
			if _, _, _, err := r.Open(sc, now, pkt, sCanReceive(c)); err != ErrReplay {
				t.Fatalf("replayed: %v", err)
			}
		}
	})
}

func BenchmarkGroupOpen(b *testing.B) {
	for _, senders := range []int{1, 1000} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			g := newSGroup(b)
			for i := range senders {
				g.r.Vouch(sNow, [32]byte{byte(i), byte(i >> 8)}, 0, xfGroupGCM, g.salt(i, sNow))
			}
			var packets [][]byte
			for ctr := range uint64(4096) {
				packets = append(packets, g.packet(g.salt(0, sNow), ctr))
			}
			canReceive, pkt := sCanReceive(g.c), make([]byte, 2048)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(packets) == 0 {
					for _, e := range g.r.entries {
						e.window = makeWindow(windowBits)
					}
				}
				n := copy(pkt, packets[i%len(packets)])
				if _, _, _, err := g.r.Open(g.sc, sNow, pkt[:n], canReceive); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
