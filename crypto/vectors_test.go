package crypto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/bits"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// sHex is bytes in a vector file.
type sHex []byte

func (h *sHex) UnmarshalJSON(b []byte) (err error) {
	var s string
	if err = json.Unmarshal(b, &s); err == nil {
		*h, err = hex.DecodeString(s)
	}
	return err
}

// sVectors reads a vector file; testdata/vectors.py made it.
func sVectors[T any](t testing.TB, file string) []T {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var v []T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v) == 0 {
		t.Fatal("no vectors in " + file)
	}
	return v
}

// sHeader returns a header.
func sHeader(packetType, xf, ki byte, rx uint32, ctr uint64) (h [16]byte) {
	h = [16]byte{firstByte(packetType), xf, ki, 0, byte(rx >> 24), byte(rx >> 16), byte(rx >> 8), byte(rx)}
	for i := range 8 {
		h[8+i] = byte(ctr >> (56 - 8*i))
	}
	return h
}

// sPacket returns hdr | rest with room for a tag.
func sPacket(hdr [16]byte, rest ...[]byte) []byte {
	return append(make([]byte, 0, 2048), append(hdr[:], bytes.Join(rest, nil)...)...)
}

// sEqual fails the test when got is not want.
func sEqual(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s:\n got %x\nwant %x", what, got, want)
	}
}

// sFlips calls try with every copy of pkt that differs in one bit, and with
// every byte inverted; try reports whether the copy was taken.
func sFlips(t testing.TB, pkt []byte, try func(pkt []byte) bool) {
	t.Helper()
	for i := range pkt {
		for _, x := range [...]byte{1, 2, 4, 8, 16, 32, 64, 128, 255} {
			bad := sPacket([16]byte(pkt[:16]), pkt[16:])
			bad[i] ^= x
			if try(bad) {
				t.Fatalf("taken with bits %08b of byte %d flipped", x, i)
			}
		}
	}
	for n := range pkt {
		if n >= 16 && try(sPacket([16]byte(pkt[:16]), pkt[16:n])) {
			t.Fatalf("taken when cut to %d bytes", n)
		}
	}
	if try(append(sPacket([16]byte(pkt[:16]), pkt[16:]), 0)) {
		t.Fatal("taken with a byte more")
	}
}

// sNow is a time in tests.
var sNow = time.Unix(1_800_000_000, 0)

// sOnes counts the bits that are set in b.
func sOnes(b []byte) (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}
