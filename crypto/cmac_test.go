package crypto

import (
	"encoding/hex"
	"testing"
)

// TestCMAC computes the examples of RFC 4493, section 4, one after the other.
func TestCMAC(t *testing.T) {
	text, _ := hex.DecodeString("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	c := newCMAC([16]byte{0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c})
	for _, tt := range []struct {
		size int
		want string
	}{
		{0, "bb1d6929e95937287fa37d129b756746"},
		{16, "070a16b46b4d4144f79bdd9dd04a287c"},
		{40, "dfa66747de9ae63030ca32611497c827"},
		{64, "51f0bebf7e3b9d92fc49741779363cfe"},
	} {
		if sum := c.sum(text[:tt.size]); hex.EncodeToString(sum[:]) != tt.want {
			t.Errorf("%d bytes: %x, want %s", tt.size, sum, tt.want)
		}
	}
}
