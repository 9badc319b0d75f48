package crypto

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// TestPairSessionIsHandedOver hands a session over again and again while packets come, some out
// of order: each is taken once, before or after, and no counter is used twice. So it is with
// either transform, and in clear.
func TestPairSessionIsHandedOver(t *testing.T) {
	for _, cfg := range []SessionConfig{{XF: xfDataChaCha}, {XF: xfDataGCM}, {XF: xfNull, Null: true}} {
		pairHandedOver(t, cfg)
	}
}

func pairHandedOver(t *testing.T, cfg SessionConfig) {
	sc, draw := NewScratch(), rand.New(rand.NewPCG(1, 2))
	back := cfg
	cfg.KI, cfg.Local, cfg.Remote, cfg.Static, cfg.Created, cfg.Keys = 3, 7, 9, [32]byte{4}, time.Unix(5, 0), SplitKeys{Send: [32]byte{1}, Recv: [32]byte{2}}
	back.KI, back.Local, back.Remote, back.Initiator, back.Keys = 3, 9, 7, true, SplitKeys{Send: [32]byte{2}, Recv: [32]byte{1}}
	near, err := NewSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	far, err := NewSession(back)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(s *Session) []byte {
		ctr, err := s.Reserve(1)
		if err != nil {
			t.Fatal(err)
		}
		return s.Seal(sc, sPacket(sHeader(typeData, cfg.XF, 3, s.RemoteIndex(), ctr), []byte("frame")))
	}
	used := make(map[uint64]bool)
	var old, late [][]byte
	for range 40 {
		state := near.AppendState(nil)
		next, rest, err := RestoreSession(append(state, 0xaa), near.Created())
		if err != nil || !bytes.Equal(rest, []byte{0xaa}) {
			t.Fatalf("%d bytes are left, %v", len(rest), err)
		}
		hi, n := next.Received()
		if highest, count := near.Received(); hi != highest || n != count || next.Confirmed() != near.Confirmed() || next.XF() != near.XF() || next.KI() != 3 ||
			next.LocalIndex() != 7 || next.RemoteIndex() != 9 || next.Static() != near.Static() || next.Initiator() || !next.Created().Equal(near.Created()) {
			t.Fatalf("another session: %d, %d", hi, n)
		}
		near = next
		for range draw.IntN(200) {
			pkt := seal(far)
			if draw.IntN(8) == 0 {
				late = append(late, pkt)
				continue
			}
			if _, err := near.Open(sc, bytes.Clone(pkt)); err != nil {
				t.Fatal(err)
			}
			old = append(old, pkt)
			mine := seal(near)
			if ctr := counterOf(mine); used[ctr] {
				t.Fatalf("the counter %d is used twice", ctr)
			} else {
				used[ctr] = true
			}
			if _, err := far.Open(sc, mine); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, pkt := range late {
		if _, err := near.Open(sc, bytes.Clone(pkt)); err != nil {
			t.Fatal(err)
		}
	}
	for _, pkt := range append(old, late...) {
		if _, err := near.Open(sc, bytes.Clone(pkt)); err != ErrReplay {
			t.Fatalf("a packet came twice: %v", err)
		}
	}
}

// TestDamagedPairState restores states that are cut anywhere, or have another transform.
func TestDamagedPairState(t *testing.T) {
	s, err := NewSession(SessionConfig{XF: xfDataGCM})
	if err != nil {
		t.Fatal(err)
	}
	s.replay.commit(1000)
	whole := s.AppendState(nil)
	for n := range whole {
		if _, _, err := RestoreSession(whole[:n], time.Time{}); err == nil {
			t.Errorf("%d bytes are taken", n)
		}
	}
	whole[104] = 0x20
	if _, _, err := RestoreSession(whole, time.Time{}); err == nil {
		t.Error("the transform of a hop session is taken")
	}
}

// TestGroupStateIsHandedOver hands the salts that a receiver knows over: what one vouched for
// counts, what came does not come twice, and what was displaced stays out.
func TestGroupStateIsHandedOver(t *testing.T) {
	g, now := newSGroup(t), time.Unix(10_000, 0)
	first, second, third, stranger, past := g.salt(1, 1, now), g.salt(1, 2, now), g.salt(1, 3, now.Add(time.Second)), g.salt(2, 1, now), g.salt(3, 1, now.Add(-time.Hour))
	for i, salt := range [][16]byte{first, second, third} {
		if !g.r.Vouch(now, [32]byte{1}, GroupVouch{XF: xfGroupGCM, Salt: salt, Lowest: 5, Serial: uint64(10 + i)}) {
			t.Fatal("a vouch is refused")
		}
	}
	g.open(now, g.packet(third, 7), 1, nil)
	g.open(now, g.packet(stranger, 1), 0, nil)
	g.openFrom(now, GroupOrigin{}, g.packet(past, 1), 0, ErrStaleSalt)
	state := g.r.AppendState(nil, now)
	g.r = NewGroupReceiver(g.c)
	later := now.Add(30 * time.Hour) // by a clock that was set meanwhile
	if rest, err := g.r.Restore(append(bytes.Clone(state), 1, 2), later); err != nil || len(rest) != 2 {
		t.Fatal(rest, err)
	}
	senders, salts := g.r.Count()
	if senders != 1 || salts != 4 {
		t.Errorf("%d senders with %d salts", senders, salts)
	}
	g.open(later, g.packet(third, 7), 0, ErrReplay)
	g.open(later, g.packet(third, 4), 0, ErrReplay) // was not vouched for
	g.open(later, g.packet(third, 8), 1, nil)
	g.open(later, g.packet(second, 9), 1, nil)
	g.open(later, g.packet(first, 9), 0, ErrReplay) // was displaced
	g.open(later, g.packet(stranger, 1), 0, ErrReplay)
	for n := range state {
		if _, err := NewGroupReceiver(g.c).Restore(state[:n], now); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(state))
		}
	}
	draw := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		b := bytes.Clone(state)
		b[draw.IntN(len(b))] ^= 1 << draw.IntN(8)
		r := NewGroupReceiver(g.c)
		if _, err := r.Restore(b, now); err == nil {
			r.Sweep(now.Add(time.Hour))
		}
	}
}

// TestGroupSenderIsHandedOver hands a sender over: its counters go on behind those that were
// used, and the receiver that knows the salt opens what it seals.
func TestGroupSenderIsHandedOver(t *testing.T) {
	g, now := newSGroup(t), time.Unix(10_000, 0)
	s, err := NewGroupSender(GroupConfig{Community: g.c, Epoch: g.c.Epochs[1], XF: xfGroupGCM, Static: [32]byte{1}, Serial: 9, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reserve(100); err != nil {
		t.Fatal(err)
	}
	state := s.AppendState(nil)
	next, rest, err := RestoreGroupSender(g.c, [32]byte{1}, append(bytes.Clone(state), 5), now)
	if err != nil || len(rest) != 1 || next.Salt() != s.Salt() || next.KI() != 1 || next.XF() != xfGroupGCM || next.Vouch().Serial != 9 || !next.Created().Equal(now) {
		t.Fatal(next, rest, err)
	}
	if ctr, _ := next.Reserve(1); ctr < 116 {
		t.Errorf("it goes on with %d", ctr)
	}
	salt := next.Salt()
	g.open(now, next.Seal(g.sc, sPacket(sHeader(typeGroup, xfGroupGCM, 1, g.c.Tag(), 200), salt[:], []byte("frame"))), 0, nil)
	if _, _, err := RestoreGroupSender(g.c, [32]byte{2}, state, now); err == nil {
		t.Error("the salt of another one is taken")
	}
	state[saltLen] = 77
	if _, _, err := RestoreGroupSender(g.c, [32]byte{1}, state, now); err == nil {
		t.Error("an epoch that there is not is taken")
	}
	for n := range state {
		if _, _, err := RestoreGroupSender(g.c, [32]byte{1}, state[:n], now); err == nil {
			t.Errorf("%d bytes are taken", n)
		}
	}
}
