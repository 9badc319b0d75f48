package crypto

import (
	"bytes"
	"errors"
	"sync"
	"testing"
)

type sSessionVector struct {
	Name                         string
	XF, KI                       uint8
	Split, Header, Inner, Packet sHex
}

// sSession returns a session whose sending and receiving keys are both split.
func sSession(t testing.TB, xf, ki uint8, split []byte, null bool) *Session {
	t.Helper()
	s, err := NewSession(SessionConfig{Keys: SplitKeys{Send: [32]byte(split), Recv: [32]byte(split)}, XF: xf, KI: ki, Null: null})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSessionVectors(t *testing.T) {
	sc := NewScratch()
	for _, v := range sVectors[sSessionVector](t, "session.json") {
		t.Run(v.Name, func(t *testing.T) {
			s := sSession(t, v.XF, v.KI, v.Split, false)
			pkt := sPacket([16]byte(v.Header), v.Inner)
			sealed := s.Seal(sc, pkt)
			sEqual(t, "sealed", sealed, v.Packet)
			if &sealed[0] != &pkt[0] {
				t.Fatal("not sealed in place")
			}
			sFlips(t, v.Packet, func(bad []byte) bool { _, err := s.Open(sc, bad); return err == nil })
			if s.Confirmed() {
				t.Fatal("confirmed by a packet that does not open")
			}
			if _, n := s.Received(); n != 0 {
				t.Fatal("bad packets counted as received")
			}
			inner, err := s.Open(sc, sealed)
			if err != nil {
				t.Fatal(err)
			}
			sEqual(t, "opened", inner, v.Inner)
			highest, n := s.Received()
			if highest != counterOf(v.Header) || n != 1 || !s.Confirmed() {
				t.Fatalf("highest %d, count %d, confirmed %v", highest, n, s.Confirmed())
			}
			if _, err := s.Open(sc, bytes.Clone(v.Packet)); err != ErrReplay {
				t.Fatalf("replayed: %v", err)
			}
		})
	}
}

// TestSessionDirections: both transforms open, whatever the receiver sends, and
// a packet never opens at the end that sent it.
func TestSessionDirections(t *testing.T) {
	sc := NewScratch()
	keys := SplitKeys{Send: [32]byte{1}, Recv: [32]byte{2}}
	back := SplitKeys{Send: keys.Recv, Recv: keys.Send}
	for _, xf := range []uint8{xfDataChaCha, xfDataGCM} {
		for _, other := range []uint8{xfDataChaCha, xfDataGCM} {
			a, err := NewSession(SessionConfig{Keys: keys, XF: xf})
			if err != nil {
				t.Fatal(err)
			}
			b, err := NewSession(SessionConfig{Keys: back, XF: other})
			if err != nil {
				t.Fatal(err)
			}
			sealed := a.Seal(sc, sPacket(sHeader(typeData, xf, 0, 1, 0), []byte("frame")))
			if _, err := a.Open(sc, bytes.Clone(sealed)); err != ErrOpen {
				t.Fatalf("reflected: %v", err)
			}
			if inner, err := b.Open(sc, sealed); err != nil || string(inner) != "frame" {
				t.Fatalf("%#x to %#x: %q, %v", xf, other, inner, err)
			}
		}
	}
}

func TestSessionRefusesTransforms(t *testing.T) {
	for xf := range 256 {
		_, err := NewSession(SessionConfig{XF: uint8(xf)})
		if ok := xf == 0x10 || xf == 0x11; ok != (err == nil) {
			t.Errorf("transform %#x: %v", xf, err)
		}
	}
}

// TestSessionNull: an insecure community sends in clear, and a session is
// either of one kind or of the other.
func TestSessionNull(t *testing.T) {
	sc := NewScratch()
	null := sSession(t, xfDataGCM, 0, make([]byte, 32), true)
	sealing := sSession(t, xfDataGCM, 0, make([]byte, 32), false)
	if null.XF() != xfNull {
		t.Fatalf("XF is %#x", null.XF())
	}
	clear := null.Seal(sc, sPacket(sHeader(typeData, xfNull, 0, 1, 0), []byte("frame")))
	if len(clear) != 16+5+16 || !bytes.Equal(clear[16:21], []byte("frame")) {
		t.Fatalf("%x", clear)
	}
	if _, err := sealing.Open(sc, bytes.Clone(clear)); err != ErrOpen {
		t.Fatalf("clear packet in a secure community: %v", err)
	}
	sealed := sealing.Seal(sc, sPacket(sHeader(typeData, xfDataGCM, 0, 1, 1), []byte("frame")))
	if _, err := null.Open(sc, sealed); err != ErrOpen {
		t.Fatalf("sealed packet in an insecure community: %v", err)
	}
	if inner, err := null.Open(sc, bytes.Clone(clear)); err != nil || string(inner) != "frame" {
		t.Fatalf("%q, %v", inner, err)
	}
	if _, err := null.Open(sc, clear); err != ErrReplay {
		t.Fatalf("replayed: %v", err)
	}
	ends := make([]byte, 0, 1600)
	for range 100 {
		p := null.Seal(sc, sPacket(sHeader(typeData, xfNull, 0, 1, 0)))
		ends = append(ends, p[16:]...)
	}
	if n := sOnes(ends); n < 6000 || n > 6800 {
		t.Fatalf("%d of 12800 bits set at the ends of packets", n)
	}
}

func TestSessionLimits(t *testing.T) {
	tests := []struct {
		xf            uint8
		rekey, refuse uint64
	}{{xfDataGCM, 1 << 28, 1 << 29}, {xfDataChaCha, 1 << 59, 1 << 60}}
	for _, tt := range tests {
		s := sSession(t, tt.xf, 0, make([]byte, 32), false)
		if first, err := s.Reserve(3); first != 0 || err != nil {
			t.Fatal(first, err)
		}
		if first, err := s.Reserve(1); first != 3 || err != nil {
			t.Fatal(first, err)
		}
		s.sent.next.Store(tt.rekey - 1)
		if s.NeedsRekey() {
			t.Fatal("rekey too early")
		}
		if _, err := s.Reserve(1); err != nil || !s.NeedsRekey() {
			t.Fatalf("%#x: no rekey at %d: %v", tt.xf, tt.rekey, err)
		}
		s.sent.next.Store(tt.refuse - 2)
		if _, err := s.Reserve(3); !errors.Is(err, ErrExhausted) {
			t.Fatal("reserved beyond the limit")
		}
		if first, err := s.Reserve(2); err != nil || first != tt.refuse-2 {
			t.Fatal(first, err)
		}
		for range 10 {
			if _, err := s.Reserve(1<<32 - 1); !errors.Is(err, ErrExhausted) {
				t.Fatal("reserved at the limit")
			}
		}
	}
}

// TestSessionFailedOpens: 2^20 forgeries ask for a new key.
func TestSessionFailedOpens(t *testing.T) {
	s, sc := sSession(t, xfDataGCM, 0, make([]byte, 32), false), NewScratch()
	s.failed.Store(failedLimit - 1)
	for i := range 3 {
		if s.NeedsRekey() != (i > 0) {
			t.Fatalf("after %d: %v", i, s.NeedsRekey())
		}
		if _, err := s.Open(sc, sPacket(sHeader(typeData, xfDataGCM, 0, 1, 0), make([]byte, 20))); err != ErrOpen {
			t.Fatal(err)
		}
	}
	if s.failed.Load() != failedLimit {
		t.Fatal("the count went on")
	}
}

// TestSessionReserveRace: no number twice, whoever asks.
func TestSessionReserveRace(t *testing.T) {
	s := sSession(t, xfDataGCM, 0, make([]byte, 32), false)
	var mu sync.Mutex
	seen := make(map[uint64]bool)
	var wg sync.WaitGroup
	for g := range uint32(4) {
		wg.Go(func() {
			for range 500 {
				first, err := s.Reserve(g + 1)
				mu.Lock()
				for i := range uint64(g + 1) {
					if err != nil || seen[first+i] {
						t.Errorf("%d again: %v", first+i, err)
					}
					seen[first+i] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 500*(1+2+3+4) {
		t.Fatal(len(seen))
	}
}

func TestSessionAccessors(t *testing.T) {
	cfg := SessionConfig{XF: xfDataGCM, KI: 4, Local: 5, Remote: 6, Static: [32]byte{7}, Created: sNow, Initiator: true}
	s, err := NewSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s.XF() != 0x11 || s.KI() != 4 || s.LocalIndex() != 5 || s.RemoteIndex() != 6 ||
		s.Static() != cfg.Static || !s.Created().Equal(sNow) || !s.Initiator() {
		t.Fatal("an accessor is wrong")
	}
}

// TestSessionReplay: 10 000 recorded packets, in any order, open once.
func TestSessionReplay(t *testing.T) {
	s, sc := sSession(t, xfDataGCM, 0, make([]byte, 32), false), NewScratch()
	var recorded [][]byte
	for ctr := range uint64(10000) {
		pkt := s.Seal(sc, append(make([]byte, 0, 64), sPacket(sHeader(typeData, xfDataGCM, 0, 1, ctr), []byte("frame"))...))
		recorded = append(recorded, bytes.Clone(pkt))
		if _, err := s.Open(sc, pkt); err != nil {
			t.Fatal(ctr, err)
		}
	}
	for ctr, pkt := range recorded {
		if _, err := s.Open(sc, pkt); err != ErrReplay {
			t.Fatal(ctr, err)
		}
	}
}

func TestSessionAllocates(t *testing.T) {
	sc := NewScratch()
	for _, xf := range []uint8{xfNull, xfDataChaCha, xfDataGCM} {
		s := sSession(t, xf, 0, make([]byte, 32), xf == xfNull)
		buf := sPacket(sHeader(typeData, xf, 0, 1, 0), make([]byte, 1400))
		s.replay.commit(0)
		n := testing.AllocsPerRun(200, func() {
			ctr, _ := s.Reserve(1)
			hdr := sHeader(typeData, xf, 0, 1, ctr+1)
			pkt := append(buf[:0], hdr[:]...)
			if _, err := s.Open(sc, s.Seal(sc, pkt[:1416])); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%#x: %v allocations", xf, n)
		}
	}
}

func FuzzSessionOpen(f *testing.F) {
	vectors := sVectors[sSessionVector](f, "session.json")
	for i, v := range vectors {
		f.Add(byte(i), false, []byte(v.Packet))
		f.Add(byte(i), true, []byte(v.Packet[:16]))
	}
	f.Fuzz(func(t *testing.T, which byte, sealIt bool, pkt []byte) {
		v, sc := vectors[int(which)%len(vectors)], NewScratch()
		s := sSession(t, v.XF, v.KI, v.Split, false)
		// Past the gate: what the fuzzer wrote, sealed as it is.
		if sealIt && len(pkt) >= 16 {
			pkt = s.Seal(sc, pkt)
		}
		inner, err := s.Open(sc, pkt)
		if err == nil && !sealIt && !bytes.Equal(inner, v.Inner) {
			t.Fatalf("forged: %x", inner)
		}
		if err == nil && len(inner) != len(pkt)-32 {
			t.Fatal("wrong length")
		}
	})
}

func BenchmarkSessionSeal(b *testing.B) {
	for _, xf := range []uint8{xfDataChaCha, xfDataGCM} {
		b.Run(map[uint8]string{xfDataChaCha: "chacha", xfDataGCM: "gcm"}[xf], func(b *testing.B) {
			s, sc := sSession(b, xf, 0, make([]byte, 32), false), NewScratch()
			pkt := sPacket(sHeader(typeData, xf, 0, 1, 0), make([]byte, 1400))
			b.SetBytes(1400)
			for b.Loop() {
				s.Seal(sc, pkt)
			}
		})
	}
}
