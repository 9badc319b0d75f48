package crypto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
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

// salt returns salt number n of a sender, made at that time.
func (g *sGroup) salt(from byte, n int, at time.Time) (salt [16]byte) {
	binary.BigEndian.PutUint32(salt[:], uint32(at.Unix()))
	binary.BigEndian.PutUint32(salt[saltRandomAt:], uint32(n))
	tag := g.c.SenderTag([32]byte{from})
	copy(salt[saltSenderAt:], tag[:])
	return salt
}

// packet returns a packet under a salt.
func (g *sGroup) packet(salt [16]byte, ctr uint64) []byte {
	s := &GroupSender{salt: salt, xf: xfGroupGCM, aead: groupAEAD(g.c.ID(), g.c.Epochs[0], groupSalt{salt, 0, xfGroupGCM})}
	return s.Seal(g.sc, sPacket(sHeader(typeGroup, xfGroupGCM, 0, g.c.Tag(), ctr), salt[:], []byte("frame")))
}

// relayed is the origin of what one edge sends by a supernode.
var relayed = GroupOrigin{Supernode: 1, Handle: 7}

// open opens one that a supernode relayed and checks the outcome.
func (g *sGroup) open(now time.Time, pkt []byte, wantFrom byte, want error) {
	g.t.Helper()
	g.openFrom(now, relayed, pkt, wantFrom, want)
}

func (g *sGroup) openFrom(now time.Time, origin GroupOrigin, pkt []byte, wantFrom byte, want error) {
	g.t.Helper()
	inner, from, isVouched, err := g.r.Open(g.sc, now, origin, bytes.Clone(pkt), sCanReceive(g.c))
	if err != want || from != [32]byte{wantFrom} || isVouched != (wantFrom != 0) {
		g.t.Fatalf("from %d, vouched %v, error %v; want %d and %v", from[0], isVouched, err, wantFrom, want)
	}
	if ok := want == nil || want == ErrStaleSalt; ok != (string(inner) == "frame") {
		g.t.Fatalf("inner %q with error %v", inner, err)
	}
}

// vouch vouches for a salt from its first counter on.
func (g *sGroup) vouch(now time.Time, from byte, salt [16]byte, serial uint64) bool {
	return g.r.Vouch(now, [32]byte{from}, GroupVouch{XF: xfGroupGCM, Salt: salt, Serial: serial})
}

// check recounts the tables and compares them with their bounds.
func (g *sGroup) check() {
	g.t.Helper()
	vouchedFor, others := 0, 0
	for k, e := range g.r.entries {
		if e.key != k {
			g.t.Fatal("an entry under another's salt")
		}
		switch {
		case e.standing != vouched:
			others++
			if g.r.places.list[e.place] != e {
				g.t.Fatal("an entry is not in its place")
			}
		case e.sender.salts[0] == e || e.sender.salts[1] == e:
			vouchedFor++
		default:
			g.t.Fatal("an entry of a sender that has others")
		}
	}
	held := 0
	for i, s := range g.r.senders.list {
		if s.place != i || g.r.senders.byTag[s.tag] != s {
			g.t.Fatal("a sender is not in its place")
		}
		for _, e := range s.salts {
			if e != nil {
				held++
			}
		}
	}
	count, perOrigin := [2][3]int{}, make(map[GroupOrigin]int)
	for _, e := range g.r.places.list {
		count[e.origin.direct()][e.standing]++
		perOrigin[e.origin]++
		if perOrigin[e.origin] > groupPerOrigin {
			g.t.Fatalf("%d salts of one origin", perOrigin[e.origin])
		}
	}
	if count != g.r.places.count || others != len(g.r.places.list) || held != vouchedFor || len(perOrigin) != len(g.r.places.byOrigin) {
		g.t.Fatalf("counted %v, %d and %d, says %v, %d and %d", count, others, vouchedFor, g.r.places.count, len(g.r.places.list), held)
	}
	for _, c := range count {
		if c[unvouched] > groupUnvouched || c[stale] > groupStale {
			g.t.Fatal(count)
		}
	}
	senders, salts := g.r.Count()
	if mostSenders, mostSalts := g.r.Bounds(); senders > mostSenders || salts > mostSalts {
		g.t.Fatalf("%d senders, %d salts", senders, salts)
	}
}

// edgeOf returns the origin of a registered edge.
func edgeOf(n int) GroupOrigin { return GroupOrigin{Handle: uint32(n)} }

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
		pkt := g.packet(g.salt(1, i, sNow.Add(tt.made)), 7)
		g.open(sNow, pkt, 0, tt.want)
		g.open(sNow, pkt, 0, ErrReplay)
	}
	// A known salt whose time runs out while it is in use.
	salt := g.salt(1, 9, sNow)
	g.open(sNow.Add(720*time.Second), g.packet(salt, 1), 0, nil)
	g.open(sNow.Add(721*time.Second), g.packet(salt, 2), 0, ErrStaleSalt)
	g.check()
}

// TestGroupVouched: a vouched salt needs no time, and its window stays when it
// was first seen without.
func TestGroupVouched(t *testing.T) {
	g := newSGroup(t)
	old := g.salt(1, 1, sNow.Add(-time.Hour))
	g.vouch(sNow, 1, old, 1)
	g.open(sNow, g.packet(old, 0), 1, nil)
	g.open(sNow, g.packet(old, 0), 0, ErrReplay)

	fresh := g.salt(2, 2, sNow)
	g.open(sNow, g.packet(fresh, 0), 0, nil)
	g.vouch(sNow, 2, fresh, 1)
	g.open(sNow, g.packet(fresh, 0), 0, ErrReplay)
	g.open(sNow, g.packet(fresh, 1), 2, nil)

	// Staged as stale, vouched for a moment later: no second delivery.
	late := g.salt(3, 3, sNow.Add(time.Hour))
	g.open(sNow, g.packet(late, 5), 0, ErrStaleSalt)
	g.vouch(sNow, 3, late, 1)
	g.open(sNow, g.packet(late, 5), 0, ErrReplay)
	g.open(sNow, g.packet(late, 6), 3, nil)
	g.check()
}

// TestGroupVouchForAnother: a member that saw another one's salt, before its owner
// told us of it or after, cannot say that it is its own.
func TestGroupVouchForAnother(t *testing.T) {
	g := newSGroup(t)
	salt := g.salt(1, 1, sNow)
	if g.vouch(sNow, 2, salt, 1) {
		t.Fatal("vouched for another's salt")
	}
	g.open(sNow, g.packet(salt, 0), 0, nil)
	g.vouch(sNow, 1, salt, 1)
	if g.vouch(sNow, 2, salt, 9) {
		t.Fatal("took another's salt over")
	}
	g.open(sNow, g.packet(salt, 1), 1, nil)
	g.check()
}

// TestGroupNewestTwo: the third salt of a sender displaces the first, which
// must not come back: neither as a stranger's with an empty window, nor because
// the message that vouched for it was held back and comes now.
func TestGroupNewestTwo(t *testing.T) {
	g := newSGroup(t)
	var salts [3][16]byte
	for i := range salts {
		salts[i] = g.salt(1, i, sNow.Add(time.Duration(i)*time.Second))
		for range 2 { // and again, with every new session
			if !g.vouch(sNow, 1, salts[i], uint64(i+1)) {
				t.Fatal("not taken")
			}
		}
		g.open(sNow, g.packet(salts[i], 1), 1, nil)
	}
	g.open(sNow, g.packet(salts[0], 1), 0, ErrReplay)
	g.open(sNow, g.packet(salts[0], 2), 0, ErrReplay)
	if g.vouch(sNow, 1, salts[0], 1) {
		t.Fatal("a salt came back")
	}
	g.open(sNow, g.packet(salts[0], 3), 0, ErrReplay)
	g.open(sNow, g.packet(salts[1], 2), 1, nil)
	g.open(sNow, g.packet(salts[2], 2), 1, nil)
	if len(g.r.entries) != 2 {
		t.Fatalf("%d entries of one sender", len(g.r.entries))
	}
	// One that is newer than all that were vouched for may be about to be.
	g.open(sNow, g.packet(g.salt(1, 3, sNow.Add(3*time.Second)), 1), 0, nil)
	// When the sender is forgotten, it is a stranger's stale salt, which nothing
	// delivers.
	later := sNow.Add(723 * time.Second)
	g.r.Sweep(later)
	g.open(later, g.packet(salts[0], 1), 0, ErrStaleSalt)
	g.check()
}

// TestGroupSaltsOutOfOrder: of two SALT messages the later may come first.
func TestGroupSaltsOutOfOrder(t *testing.T) {
	g := newSGroup(t)
	first, second := g.salt(1, 1, sNow), g.salt(1, 2, sNow.Add(time.Second))
	if !g.vouch(sNow, 1, second, 2) || !g.vouch(sNow, 1, first, 1) {
		t.Fatal("not taken")
	}
	g.open(sNow, g.packet(first, 0), 1, nil)
	g.open(sNow, g.packet(second, 0), 1, nil)
	// A sender that restarts with its clock set back still has the higher serial.
	back := g.salt(1, 3, sNow.Add(-time.Hour))
	if !g.vouch(sNow, 1, back, 3) {
		t.Fatal("not taken")
	}
	g.open(sNow, g.packet(back, 0), 1, nil)
	g.open(sNow, g.packet(second, 1), 1, nil)
	g.open(sNow, g.packet(first, 1), 0, ErrReplay)
	g.check()
}

// TestGroupLowest: a receiver that restarted, or whose packets were held back, takes
// nothing that was sealed before its sender vouched: neither at first sight nor
// after one such packet came as a stranger's.
func TestGroupLowest(t *testing.T) {
	g := newSGroup(t)
	salt := g.salt(1, 1, sNow)
	vouch := GroupVouch{XF: xfGroupGCM, Salt: salt, Lowest: 100, Serial: 1}
	g.r.Vouch(sNow, [32]byte{1}, vouch)
	g.open(sNow, g.packet(salt, 99), 0, ErrReplay)
	g.open(sNow, g.packet(salt, 0), 0, ErrReplay)
	g.open(sNow, g.packet(salt, 101), 1, nil)
	g.open(sNow, g.packet(salt, 100), 1, nil)
	// What is said again later does not take back what is on its way.
	vouch.Lowest = 200
	g.r.Vouch(sNow, [32]byte{1}, vouch)
	g.open(sNow, g.packet(salt, 102), 1, nil)

	other := g.salt(2, 1, sNow)
	g.open(sNow, g.packet(other, 5), 0, nil)
	g.r.Vouch(sNow, [32]byte{2}, GroupVouch{XF: xfGroupGCM, Salt: other, Lowest: 100, Serial: 1})
	g.open(sNow, g.packet(other, 5), 0, ErrReplay)
	g.open(sNow, g.packet(other, 6), 0, ErrReplay)
	g.open(sNow, g.packet(other, 100), 2, nil)
	g.check()
}

// TestGroupOneSenderFills: a member vouches for a million salts of its own, all
// different, and sends under each: it keeps the newest two, nobody else loses one.
func TestGroupOneSenderFills(t *testing.T) {
	g := newSGroup(t)
	honest := g.salt(1, 0, sNow)
	g.vouch(sNow, 1, honest, 1)
	salt := g.salt(2, 0, sNow)
	for i := range 1_000_000 {
		binary.BigEndian.PutUint32(salt[:], uint32(sNow.Unix())+uint32(i/1000))
		binary.BigEndian.PutUint32(salt[saltRandomAt:], uint32(i))
		if !g.vouch(sNow, 2, salt, uint64(i+1)) {
			t.Fatal("not taken")
		}
		if i%1000 == 0 {
			g.open(sNow, g.packet(salt, 0), 2, nil)
		}
	}
	g.check()
	if senders, salts := g.r.Count(); senders != 2 || salts != 3 {
		t.Fatalf("%d senders, %d salts", senders, salts)
	}
	g.open(sNow, g.packet(honest, 0), 1, nil)
}

// TestGroupFilledFromOutside fills every table at random, as members, as one member,
// relayed and with forged sources, with clocks that are right and wrong: the bounds
// hold after each call, and those who vouched are heard all the time.
func TestGroupFilledFromOutside(t *testing.T) {
	g := newSGroup(t)
	random := rand.New(rand.NewPCG(1, 2))
	now, honest, ctr := sNow, g.salt(1, 0, sNow), uint64(0)
	for i := range 60_000 {
		now = now.Add(time.Duration(random.IntN(12)) * time.Millisecond)
		from := [32]byte{2, byte(random.IntN(256)), byte(random.IntN(64))}
		salt := g.salt(0, random.IntN(1<<20), now.Add(time.Duration(random.IntN(2000)-1000)*time.Second))
		tag := g.c.SenderTag(from)
		copy(salt[saltSenderAt:], tag[:])
		switch random.IntN(3) {
		case 0:
			g.r.Vouch(now, from, GroupVouch{KI: byte(random.IntN(2)), XF: byte(random.IntN(3)), Salt: salt, Lowest: random.Uint64N(9), Serial: random.Uint64N(9)})
		case 1:
			g.r.Open(g.sc, now, edgeOf(random.IntN(3000)), g.packet(salt, 3), sCanReceive(g.c))
		case 2:
			forged := GroupOrigin{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(256))}), uint16(i))}
			g.r.Open(g.sc, now, forged, g.packet(salt, 3), sCanReceive(g.c))
		}
		if i%100 == 0 {
			g.vouch(now, 1, honest, 1)
			g.open(now, g.packet(honest, ctr), 1, nil)
			ctr++
		}
		if i%5000 == 0 {
			g.check()
			g.r.Sweep(now)
			g.check()
		}
	}
	g.check()
}

// TestGroupOriginsApart: one origin's unknown salts, however many, cost no other
// origin a token or a place; nor do forged sources cost registered edges anything.
func TestGroupOriginsApart(t *testing.T) {
	g := newSGroup(t)
	now, n := sNow, 0
	flood := func(origin GroupOrigin) {
		n++
		g.r.Open(g.sc, now, origin, g.packet(g.salt(9, n, sNow), 0), sCanReceive(g.c))
	}
	for range 3000 {
		now = now.Add(time.Millisecond)
		flood(relayed)
	}
	if got := g.r.places.byOrigin[relayed]; got != groupPerOrigin {
		t.Fatalf("%d places of one origin, want %d", got, groupPerOrigin)
	}
	for i := range 20_000 {
		now = now.Add(time.Millisecond)
		flood(GroupOrigin{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), uint16(i))})
	}
	if g.r.places.count[1][unvouched] != groupUnvouched {
		t.Fatalf("%v: the flood did not fill its own part", g.r.places.count)
	}
	// The first packet of each of a hundred other edges.
	for i := range 100 {
		now = now.Add(time.Millisecond)
		g.openFrom(now, edgeOf(100+i), g.packet(g.salt(byte(100+i), 0, sNow), 0), 0, nil)
	}
	g.check()
}

// TestGroupBudget: ten unknown salts a second of one origin, counted before they
// are opened; known ones are free.
func TestGroupBudget(t *testing.T) {
	g := newSGroup(t)
	known := g.salt(1, -1, sNow)
	g.vouch(sNow, 1, known, 1)
	forged := g.packet(g.salt(2, 0, sNow), 0)
	forged[40] ^= 1
	for range originSalts {
		g.open(sNow, forged, 0, ErrOpen)
	}
	good := g.packet(g.salt(2, 1, sNow), 0)
	g.open(sNow, good, 0, ErrBudget)
	g.open(sNow, g.packet(known, 0), 1, nil)
	g.open(sNow.Add(100*time.Millisecond), good, 0, nil)
	g.open(sNow.Add(101*time.Millisecond), g.packet(g.salt(2, 2, sNow), 0), 0, ErrBudget)
	g.open(sNow.Add(101*time.Millisecond), g.packet(g.salt(2, 1, sNow), 1), 0, nil)
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
	first := g.packet(g.salt(9, 0, now), 0)
	for i := range groupUnvouched {
		now = now.Add(2 * time.Millisecond)
		g.openFrom(now, edgeOf(i), g.packet(g.salt(9, i, sNow), 0), 0, nil)
	}
	now = now.Add(time.Second)
	more := g.packet(g.salt(1, groupUnvouched, sNow), 0)
	g.open(now, more, 0, ErrBudget)
	g.openFrom(now, edgeOf(0), first, 0, ErrReplay)
	g.vouch(now, 1, g.salt(1, groupUnvouched, sNow), 1)
	g.open(now, more, 1, nil)

	for i := range groupStale + 1 {
		want := ErrStaleSalt
		if i == groupStale {
			want = ErrBudget
		}
		g.openFrom(now.Add(time.Duration(i)*5*time.Millisecond), edgeOf(i), g.packet(g.salt(9, i, sNow.Add(-time.Hour)), 0), 0, want)
	}
	g.check()
	g.sweepAll(now.Add(11 * time.Second))
	if g.r.places.count != [2][3]int{{unvouched: groupUnvouched}} {
		t.Fatalf("%v after 11 s", g.r.places.count)
	}
	// Inside its time an entry stays, used or not.
	g.sweepAll(sNow.Add(saltAcceptance))
	if g.r.places.count[0][unvouched] != groupUnvouched {
		t.Fatal("evicted inside its time")
	}
	g.sweepAll(now.Add(saltAcceptance + time.Second))
	if len(g.r.entries) != 0 {
		t.Fatalf("%d after their time", len(g.r.entries))
	}
	g.check()
}

// sweepAll sweeps until nothing more goes.
func (g *sGroup) sweepAll(now time.Time) {
	for before := -1; before != len(g.r.entries); g.r.Sweep(now) {
		before = len(g.r.entries)
	}
}

// TestGroupSenderBound: of 4096 senders at most, the newest two salts each. One
// that is heard of keeps its place; an idle one makes room.
func TestGroupSenderBound(t *testing.T) {
	g := newSGroup(t)
	vouch := func(now time.Time, i int) (ok bool) {
		var from [32]byte
		binary.BigEndian.PutUint32(from[:], uint32(i)+1)
		tag := g.c.SenderTag(from)
		for j := range 3 {
			salt := g.salt(0, 3*i+j, now.Add(time.Duration(j)*time.Second))
			copy(salt[saltSenderAt:], tag[:])
			ok = g.r.Vouch(now, from, GroupVouch{XF: xfGroupGCM, Salt: salt, Serial: uint64(j + 1)})
		}
		return ok
	}
	for i := range groupSendersMax + 10 {
		if ok := vouch(sNow, i); ok != (i < groupSendersMax) {
			t.Fatalf("sender %d: %v", i, ok)
		}
	}
	g.check()
	if senders, salts := g.r.Count(); senders != groupSendersMax || salts != 2*groupSendersMax {
		t.Fatal(senders, salts)
	}
	later := sNow.Add(senderIdle)
	if !vouch(later, groupSendersMax) {
		t.Fatal("no room though all are idle")
	}
	g.check()
	g.sweepAll(later.Add(saltAcceptance + 3*time.Second))
	if senders, salts := g.r.Count(); senders != 0 || salts != 0 {
		t.Fatal("not swept", senders, salts)
	}
	g.check()
}

// TestGroupAhead: a sender whose clock is ahead is remembered until its salts
// cannot be taken for new ones any more.
func TestGroupAhead(t *testing.T) {
	g := newSGroup(t)
	salt := g.salt(1, 1, sNow.Add(5*time.Hour))
	g.vouch(sNow, 1, salt, 1)
	g.open(sNow, g.packet(salt, 1), 1, nil)
	for i := 2; i <= 3; i++ { // displaced
		g.vouch(sNow, 1, g.salt(1, i, sNow.Add(5*time.Hour+time.Duration(i)*time.Second)), uint64(i))
	}
	g.r.Sweep(sNow.Add(time.Hour))
	g.open(sNow.Add(5*time.Hour), g.packet(salt, 1), 0, ErrReplay)
	g.r.Sweep(sNow.Add(6 * time.Hour))
	if senders, _ := g.r.Count(); senders != 0 {
		t.Fatal("remembered for too long")
	}
}

// TestGroupSweepYields: a sweep of full tables lets packets pass in between.
func TestGroupSweepYields(t *testing.T) {
	g := newSGroup(t)
	for i := range groupSendersMax {
		var from [32]byte
		binary.BigEndian.PutUint32(from[:], uint32(i)+1)
		tag := g.c.SenderTag(from)
		salt := g.salt(0, i, sNow)
		copy(salt[saltSenderAt:], tag[:])
		g.r.Vouch(sNow, from, GroupVouch{XF: xfGroupGCM, Salt: salt, Serial: 1})
	}
	later := sNow.Add(2 * saltAcceptance)
	if g.r.sweepSenders(later, 0) != true || len(g.r.senders.list) != groupSendersMax-sweepStep {
		t.Fatalf("%d left after one step", len(g.r.senders.list))
	}
	g.check()
}

func TestGroupReplace(t *testing.T) {
	g := newSGroup(t)
	kept, gone := g.salt(2, 1, sNow), g.salt(1, 2, sNow)
	g.open(sNow, g.packet(kept, 1), 0, nil)
	g.vouch(sNow, 1, gone, 1)
	g.r.Vouch(sNow, [32]byte{1}, GroupVouch{KI: 1, XF: xfGroupGCM, Salt: gone, Serial: 2}) // under epoch 1
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
	salt := g.salt(1, 1, sNow)
	g.vouch(sNow, 1, salt, 1)
	g.open(sNow, g.packet(salt, 0), 1, nil)
	never := func(uint8) (Epoch, bool) { return Epoch{}, false }
	if _, _, _, err := g.r.Open(g.sc, sNow, relayed, g.packet(salt, 1), never); err != ErrOpen {
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
			packets = append(packets, g.packet(g.salt(byte(i+1), i, sNow), ctr))
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
					g.vouch(sNow, byte(i/10+1), g.salt(byte(i/10+1), i/10, sNow), 1)
				}
				if _, _, _, err := g.r.Open(sc, sNow, edgeOf(i/10), bytes.Clone(pkt), sCanReceive(g.c)); err == nil {
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
		s, err := NewGroupSender(GroupConfig{Community: g.c, Epoch: g.c.Epochs[0], XF: xfGroupGCM, Static: [32]byte{1}, Now: sNow})
		if err != nil {
			t.Fatal(err)
		}
		if vouch {
			g.r.Vouch(sNow, [32]byte{1}, s.Vouch())
		}
		canReceive, tag, buf := sCanReceive(g.c), g.c.Tag(), make([]byte, 0, 2048)
		n := testing.AllocsPerRun(200, func() {
			ctr, _ := s.Reserve(1)
			hdr := sHeader(typeGroup, xfGroupGCM, 0, tag, ctr)
			pkt := s.Seal(g.sc, append(buf, hdr[:]...)[:1400])
			if _, _, _, err := g.r.Open(g.sc, sNow, relayed, pkt, canReceive); err != nil {
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
		inner, _, _, err := r.Open(sc, now, relayed, bytes.Clone(pkt), sCanReceive(c))
		if err == nil && !sealIt && !bytes.Equal(inner, v.Inner) {
			t.Fatalf("forged: %x", inner)
		}
		if sealIt && len(pkt) >= groupMin && err != nil && err != ErrStaleSalt {
			t.Fatalf("refused: %v", err)
		}
		if err == nil {
			if _, _, _, err := r.Open(sc, now, relayed, pkt, sCanReceive(c)); err != ErrReplay {
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
				from := [32]byte{byte(i), byte(i >> 8)}
				salt, tag := g.salt(0, i, sNow), g.c.SenderTag(from)
				copy(salt[saltSenderAt:], tag[:])
				g.r.Vouch(sNow, from, GroupVouch{XF: xfGroupGCM, Salt: salt, Serial: 1})
			}
			var packets [][]byte
			for ctr := range uint64(4096) {
				packets = append(packets, g.packet(g.salt(0, 0, sNow), ctr))
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
				if _, _, _, err := g.r.Open(g.sc, sNow, relayed, pkt[:n], canReceive); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
