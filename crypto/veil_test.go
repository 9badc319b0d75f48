package crypto

import (
	"bytes"
	"crypto/rand"
	"testing"
)

type sVeilVector struct {
	Name                string
	Key, Packet, Veiled sHex
}

func TestVeilVectors(t *testing.T) {
	sc := NewScratch()
	for _, v := range sVectors[sVeilVector](t, "veil.json") {
		m, pkt := NewMask([16]byte(v.Key)), bytes.Clone(v.Packet)
		m.Veil(sc, pkt)
		sEqual(t, v.Name, pkt, v.Veiled)
		m.Veil(sc, pkt)
		sEqual(t, v.Name+" uncovered", pkt, v.Packet)
	}
}

// TestVeilBounds: what cannot be the packet of a RELAY stays as it is, and nothing
// is done without a mask.
func TestVeilBounds(t *testing.T) {
	m, sc := NewMask([16]byte{1}), NewScratch()
	for _, n := range []int{0, 1, 16, 31, 32, padLongest + 1, 1 << 16} {
		pkt := make([]byte, n)
		m.Veil(sc, pkt)
		if !bytes.Equal(pkt, make([]byte, n)) {
			t.Errorf("%d bytes were changed", n)
		}
	}
	pkt := make([]byte, 100)
	(*Mask)(nil).Veil(sc, pkt)
	if !bytes.Equal(pkt, make([]byte, 100)) {
		t.Error("veiled without a mask")
	}
	for n := relayOverhead + 1; n <= padLongest; n++ {
		pkt := make([]byte, n, n+1)
		m.Veil(sc, pkt)
		if !bytes.Equal(pkt[:relayOverhead], make([]byte, relayOverhead)) || n > 64 && bytes.Equal(pkt, make([]byte, n)) {
			t.Fatalf("%d bytes: the head was changed, or the packet not", n)
		}
	}
}

// TestVeilHidesCopies: of the packet that a supernode got and the copies that it
// sends, no two have eight bytes in common.
func TestVeilHidesCopies(t *testing.T) {
	m, sc := NewMask([16]byte{1}), NewScratch()
	packet := make([]byte, 64)
	rand.Read(packet)
	copies := [][]byte{packet}
	for i := range uint64(20_000) {
		pkt := sPacket(sHeader(typeRelay, xfHop, kiNone, uint32(i*7), i), make([]byte, 16), packet)
		pkt[offFL] = floodFlag
		m.Veil(sc, pkt)
		copies = append(copies, pkt[relayOverhead:])
	}
	seen := make(map[[8]byte]int)
	for i, c := range copies {
		for at := range len(c) - 8 {
			if j, ok := seen[[8]byte(c[at:])]; ok && j != i {
				t.Fatalf("copies %d and %d share eight bytes", j, i)
			}
			seen[[8]byte(c[at:])] = i
		}
	}
}

func TestVeilAllocates(t *testing.T) {
	m, sc, pkt := NewMask([16]byte{1}), NewScratch(), make([]byte, 1432)
	if n := testing.AllocsPerRun(100, func() { m.Veil(sc, pkt) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkVeil(b *testing.B) {
	m, sc, pkt := NewMask([16]byte{1}), NewScratch(), make([]byte, 1432)
	b.SetBytes(1400)
	for i := uint64(0); b.Loop(); i++ {
		pkt[15], pkt[14] = byte(i), byte(i>>8)
		m.Veil(sc, pkt)
	}
}
