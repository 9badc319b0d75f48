package crypto

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

type sMaskVector struct {
	Name                string
	Key, Packet, Masked sHex
}

func TestMaskVectors(t *testing.T) {
	sc := NewScratch()
	for _, v := range sVectors[sMaskVector](t, "mask.json") {
		t.Run(v.Name, func(t *testing.T) {
			m := NewMask([16]byte(v.Key))
			pkt := bytes.Clone(v.Packet)
			m.Hide(sc, pkt)
			sEqual(t, "masked", pkt, v.Masked)
			if !m.Show(sc, pkt) {
				t.Fatal("Show failed")
			}
			sEqual(t, "shown", pkt, v.Packet)
			sFlips(t, v.Masked, func(bad []byte) bool {
				m.Show(sc, bad)
				return bytes.Equal(bad, v.Packet)
			})
		})
	}
}

type sDerivedVector struct {
	Supernode, Obfs, Seed              sHex
	SupernodeMask, SupernodeMaskPlain  sHex
	HelloMask, ResetToken              sHex
	NoticeKey, Notice, Mac1, NoticeMAC sHex
	Index                              uint32
}

func TestDerivedVectors(t *testing.T) {
	for _, v := range sVectors[sDerivedVector](t, "derived.json") {
		k := SupernodeMaskKey([32]byte(v.Supernode), v.Obfs)
		sEqual(t, "supernode mask key", k[:], v.SupernodeMask)
		k = SupernodeMaskKey([32]byte(v.Supernode), nil)
		sEqual(t, "supernode mask key without obfuscation key", k[:], v.SupernodeMaskPlain)
		k = HelloMaskKey(nil)
		sEqual(t, "HELLO mask key", k[:], v.HelloMask)
		k = ResetToken([32]byte(v.Seed), v.Index)
		sEqual(t, "reset token", k[:], v.ResetToken)
		k = NoticeMAC([32]byte(v.NoticeKey), v.Notice, [16]byte(v.Mac1))
		sEqual(t, "NOTICE mac", k[:], v.NoticeMAC)
	}
}

func TestMaskOff(t *testing.T) {
	var m *Mask
	pkt := bytes.Repeat([]byte{0x25}, 48)
	m.Hide(NewScratch(), pkt)
	if !m.Show(NewScratch(), pkt) || !bytes.Equal(pkt, bytes.Repeat([]byte{0x25}, 48)) {
		t.Fatal("a nil mask changed a packet")
	}
	if m.Show(NewScratch(), pkt[:31]) {
		t.Fatal("31 bytes are no packet")
	}
}

// TestMaskLooksRandom: whatever the type, no bit of what observers see first is
// set too often. The bodies are zeros, the worst case; the end is random.
func TestMaskLooksRandom(t *testing.T) {
	const rounds = 2000
	rng := rand.New(rand.NewPCG(1, 2))
	m, sc := NewMask([16]byte{7}), NewScratch()
	for packetType := byte(1); packetType <= 10; packetType++ {
		var set [32 * 8]int
		for range rounds {
			hdr := sHeader(packetType, 0x10, 0, 1, 0)
			pkt := sPacket(hdr, make([]byte, 80))
			for i := 80; i < 96; i++ {
				pkt[i] = byte(rng.Uint32())
			}
			m.Hide(sc, pkt)
			for i := range set {
				set[i] += int(pkt[i/8] >> (i % 8) & 1)
			}
		}
		masked := 16 * 8
		if packetType != typeData && packetType != typeRelay && packetType != 7 {
			masked = 32 * 8
		}
		for i, n := range set[:masked] {
			if n < rounds/2-150 || n > rounds/2+150 { // 6.7 standard deviations
				t.Errorf("type %d: bit %d set in %d of %d", packetType, i, n, rounds)
			}
		}
	}
}

func FuzzMaskShow(f *testing.F) {
	for _, v := range sVectors[sMaskVector](f, "mask.json") {
		f.Add([]byte(v.Masked))
	}
	m, sc := NewMask([16]byte{1}), NewScratch()
	f.Fuzz(func(t *testing.T, pkt []byte) {
		before := bytes.Clone(pkt)
		if m.Show(sc, pkt) != (len(pkt) >= 32) {
			t.Fatal("wrong about the length")
		}
		m.Hide(sc, pkt)
		sEqual(t, "shown and hidden", pkt, before)
	})
}

func TestMaskAllocates(t *testing.T) {
	m, sc := NewMask([16]byte{1}), NewScratch()
	for _, v := range sVectors[sMaskVector](t, "mask.json") {
		pkt := bytes.Clone(v.Packet)
		if n := testing.AllocsPerRun(100, func() { m.Hide(sc, pkt); m.Show(sc, pkt) }); n != 0 {
			t.Errorf("%s: %v allocations", v.Name, n)
		}
	}
}

func BenchmarkMaskData(b *testing.B) {
	m, sc := NewMask([16]byte{1}), NewScratch()
	hdr := sHeader(typeData, xfDataGCM, 0, 1, 0)
	pkt := sPacket(hdr, make([]byte, 1400))
	for b.Loop() {
		m.Hide(sc, pkt)
	}
}
