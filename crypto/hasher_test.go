package crypto

import (
	"math/rand/v2"
	"testing"
)

// TestHasher compares a hasher, which is used for one key after another, with BLAKE2s of
// x/crypto, for keys and texts of all lengths around a block.
func TestHasher(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	h, text := newHasher(), make([]byte, 200)
	for n := 1; n < len(text); n++ {
		var key [32]byte
		_, _ = random.Read(key[:])
		_, _ = random.Read(text)
		for size := 1; size <= len(key); size++ {
			var state keyState
			state.setKey(key[:size])
			if got, want := h.sum(&state, text[:n]), keyedHash(key[:size], text[:n]); got != want {
				t.Fatalf("a key of %d and a text of %d bytes: %x, want %x", size, n, got, want)
			}
			h.digest(&state)
			if got, want := h.sum(&state, text[:n]), keyedHash(key[:size], text[:n]); got != want {
				t.Fatalf("a digested key of %d and a text of %d bytes: %x, want %x", size, n, got, want)
			}
		}
		if got, want := h.once([16]byte(key[:]), text[:n]), keyedHash(key[:16], text[:n]); got != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
	}
}
