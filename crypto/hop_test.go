package crypto

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
)

// sHop returns a hop session whose keys of both directions are split.
func sHop(t testing.TB, split []byte) *HopSession {
	t.Helper()
	s, err := NewHopSession(SessionConfig{Keys: SplitKeys{Send: [32]byte(split), Recv: [32]byte(split)}, XF: xfHop, KI: kiNone})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHopControlVectors(t *testing.T) {
	sc := NewScratch()
	for _, v := range sVectors[sSessionVector](t, "hopcontrol.json") {
		t.Run(v.Name, func(t *testing.T) {
			s := sHop(t, v.Split)
			sealed := s.Seal(sc, sPacket([16]byte(v.Header), v.Inner))
			sEqual(t, "sealed", sealed, v.Packet)
			sFlips(t, v.Packet, func(bad []byte) bool { _, err := s.Open(sc, bad); return err == nil })
			if s.Confirmed() {
				t.Fatal("confirmed by a packet that does not open")
			}
			inner, err := s.Open(sc, sealed)
			if err != nil {
				t.Fatal(err)
			}
			sEqual(t, "opened", inner, v.Inner)
			if _, err := s.Open(sc, bytes.Clone(v.Packet)); err != ErrReplay {
				t.Fatalf("replayed: %v", err)
			}
			if highest, n := s.Received(); highest != counterOf(v.Header) || n != 1 || !s.Confirmed() {
				t.Fatalf("highest %d, count %d", highest, n)
			}
		})
	}
}

func TestHopTagVectors(t *testing.T) {
	sc := NewScratch()
	for _, v := range sVectors[sSessionVector](t, "hoptag.json") {
		t.Run(v.Name, func(t *testing.T) {
			s := sHop(t, v.Split)
			pkt := sPacket([16]byte(v.Header), make([]byte, 16), v.Inner)
			s.SealRelay(sc, pkt)
			sEqual(t, "tagged", pkt, v.Packet)
			// What the tag covers: header, tag, length, and the last 16 bytes.
			sFlips(t, v.Packet, func(bad []byte) bool {
				between := len(bad) == len(v.Packet) && !bytes.Equal(bad[32:len(bad)-16], v.Packet[32:len(bad)-16])
				_, err := s.OpenRelay(sc, bad)
				return err == nil && !between
			})
			s = sHop(t, v.Split)
			packet, err := s.OpenRelay(sc, pkt)
			if err != nil {
				t.Fatal(err)
			}
			sEqual(t, "packet", packet, v.Inner)
			if !s.Confirmed() {
				t.Fatal("not confirmed")
			}
			if _, err := s.OpenRelay(sc, pkt); err != ErrReplay {
				t.Fatalf("replayed: %v", err)
			}
		})
	}
}

// TestHopRelayCoversItsPart: the middle of a packet is not the supernode's to
// authenticate, everything else is.
func TestHopRelayCoversItsPart(t *testing.T) {
	v, sc := sVectors[sSessionVector](t, "hoptag.json")[0], NewScratch()
	for i := range v.Packet {
		s, bad := sHop(t, v.Split), bytes.Clone(v.Packet)
		bad[i] ^= 1
		_, err := s.OpenRelay(sc, bad)
		if middle := i >= 32 && i < len(bad)-16; middle != (err == nil) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// TestHopRelayWindow: one window over all handles, fed by the low half of CTR.
func TestHopRelayWindow(t *testing.T) {
	s, sc := sHop(t, make([]byte, 32)), NewScratch()
	send := func(handle, counter uint32) error {
		pkt := sPacket(sHeader(typeRelay, xfHop, kiNone, 1, uint64(handle)<<32|uint64(counter)), make([]byte, 64))
		s.SealRelay(sc, pkt)
		_, err := s.OpenRelay(sc, pkt)
		return err
	}
	for _, tt := range []struct {
		handle, counter uint32
		want            error
	}{
		{9, 10000, nil}, {9, 10000, ErrReplay}, {10, 10000, ErrReplay}, {1, 10001, nil},
		{0xffffffff, 1810, nil}, {2, 1809, ErrReplay}, {2, 1810, ErrReplay}, {2, 1811, nil},
	} {
		if err := send(tt.handle, tt.counter); err != tt.want {
			t.Fatalf("%+v: %v", tt, err)
		}
	}
}

// TestHopKeysAreApart: control, relay and the two directions share nothing.
func TestHopKeysAreApart(t *testing.T) {
	sc := NewScratch()
	keys := SplitKeys{Send: [32]byte{1}, Recv: [32]byte{2}}
	a, err := NewHopSession(SessionConfig{Keys: keys, XF: xfHop, KI: kiNone})
	if err != nil {
		t.Fatal(err)
	}
	pkt := a.Seal(sc, sPacket(sHeader(typeData, xfHop, kiNone, 1, 0), make([]byte, 64)))
	if _, err := a.Open(sc, bytes.Clone(pkt)); err != ErrOpen {
		t.Fatalf("reflected control: %v", err)
	}
	if _, err := a.OpenRelay(sc, pkt); err != ErrOpen {
		t.Fatalf("control as relay: %v", err)
	}
	pkt = sPacket(sHeader(typeRelay, xfHop, kiNone, 1, 0), make([]byte, 64))
	a.SealRelay(sc, pkt)
	if _, err := a.OpenRelay(sc, bytes.Clone(pkt)); err != ErrOpen {
		t.Fatalf("reflected relay: %v", err)
	}
	if _, err := a.Open(sc, pkt); err != ErrOpen {
		t.Fatalf("relay as control: %v", err)
	}
}

func TestHopControlWindow(t *testing.T) {
	s, sc := sHop(t, make([]byte, 32)), NewScratch()
	for _, tt := range []struct {
		ctr  uint64
		want error
	}{{100, nil}, {37, nil}, {36, ErrReplay}, {37, ErrReplay}, {101, nil}} {
		pkt := s.Seal(sc, sPacket(sHeader(typeData, xfHop, kiNone, 1, tt.ctr)))
		if _, err := s.Open(sc, pkt); err != tt.want {
			t.Fatalf("%+v: %v", tt, err)
		}
	}
}

func TestHopLimits(t *testing.T) {
	for _, cfg := range []SessionConfig{{XF: 0x10, KI: kiNone}, {XF: xfHop, KI: 0}} {
		if _, err := NewHopSession(cfg); err == nil {
			t.Errorf("%+v taken", cfg)
		}
	}
	s := sHop(t, make([]byte, 32))
	if first, err := s.ReserveRelays(5); first != 0 || err != nil {
		t.Fatal(first, err)
	}
	if n, err := s.ReserveRelay(); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	s.sentRelay.next.Store(1<<31 - 1)
	if s.NeedsRekey() {
		t.Fatal("rekey too early")
	}
	if n, err := s.ReserveRelay(); n != 1<<31-1 || err != nil || !s.NeedsRekey() {
		t.Fatal("no rekey at 2^31")
	}
	s.sentRelay.next.Store(1<<32 - 2)
	if n, err := s.ReserveRelay(); n != 1<<32-2 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := s.ReserveRelay(); !errors.Is(err, ErrExhausted) {
		t.Fatal("reserved 2^32-1")
	}
	if first, err := s.Reserve(2); first != 0 || err != nil {
		t.Fatal("hop control has no counter of its own")
	}
}

func TestHopShortPackets(t *testing.T) {
	s, sc := sHop(t, make([]byte, 32)), NewScratch()
	hdr := sHeader(typeRelay, xfHop, kiNone, 1, 0)
	for n := range 64 {
		if _, err := s.OpenRelay(sc, append(hdr[:], make([]byte, 64)...)[:n]); err != ErrOpen {
			t.Fatal(n, err)
		}
		if _, err := s.Open(sc, append(hdr[:], make([]byte, 64)...)[:n]); err != ErrOpen {
			t.Fatal(n, err)
		}
	}
}

func TestHopAllocates(t *testing.T) {
	s, sc := sHop(t, make([]byte, 32)), NewScratch()
	buf := make([]byte, 0, 2048)
	s.relay.commit(0)
	s.ctl.commit(0)
	next := uint64(1)
	n := testing.AllocsPerRun(200, func() {
		hdr := sHeader(typeRelay, xfHop, kiNone, 1, next)
		pkt := append(buf, hdr[:]...)[:1400]
		s.SealRelay(sc, pkt)
		if _, err := s.OpenRelay(sc, pkt); err != nil {
			t.Fatal(err)
		}
		hdr = sHeader(typeData, xfHop, kiNone, 1, next)
		pkt = append(buf, hdr[:]...)[:100]
		if _, err := s.Open(sc, s.Seal(sc, pkt)); err != nil {
			t.Fatal(err)
		}
		next++
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestHopMemory: a supernode has a hundred thousand sessions, and few of them relay.
func TestHopMemory(t *testing.T) {
	const sessions, most = 1000, 700
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	list := make([]*HopSession, sessions)
	before, sc := inUse(), NewScratch()
	for i := range list {
		s := sHop(t, make([]byte, 32))
		hdr := sHeader(typeData, xfHop, kiNone, 1, 1)
		if _, err := s.Open(sc, s.Seal(sc, append(make([]byte, 0, 100), hdr[:]...))); err != nil {
			t.Fatal(err)
		}
		list[i] = s
	}
	each := (inUse() - before) / sessions
	t.Logf("%d bytes for a session that has relayed nothing", each)
	if each > most {
		t.Errorf("%d bytes for a session, at most %d", each, most)
	}
	runtime.KeepAlive(list)
}

func FuzzHopOpen(f *testing.F) {
	control, relay := sVectors[sSessionVector](f, "hopcontrol.json")[0], sVectors[sSessionVector](f, "hoptag.json")[0]
	f.Add([]byte(control.Packet))
	f.Add([]byte(relay.Packet))
	f.Fuzz(func(t *testing.T, pkt []byte) {
		sc := NewScratch()
		if packet, err := sHop(t, relay.Split).OpenRelay(sc, bytes.Clone(pkt)); err == nil && !bytes.Equal(packet[len(packet)-16:], relay.Packet[len(relay.Packet)-16:]) {
			t.Fatalf("forged: %x", pkt)
		}
		if inner, err := sHop(t, control.Split).Open(sc, bytes.Clone(pkt)); err == nil && !bytes.Equal(inner, control.Inner) {
			t.Fatalf("forged: %x", inner)
		}
	})
}

func BenchmarkHopRelay(b *testing.B) {
	s, sc := sHop(b, make([]byte, 32)), NewScratch()
	pkt := sPacket(sHeader(typeRelay, xfHop, kiNone, 1, 0), make([]byte, 1400))
	b.SetBytes(1400)
	for b.Loop() {
		s.SealRelay(sc, pkt)
	}
}
