package crypto

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

// The derivation itself is in the known answers (TestDerivedValuesKnownAnswers):
// each call costs what an attacker's guess costs.

func TestFromPassphraseEmpty(t *testing.T) {
	if c, err := FromPassphrase("mynetwork", ""); err == nil || c != nil || !strings.Contains(err.Error(), "--key-file") {
		t.Errorf("an empty passphrase: %v, %v", c, err)
	}
}

// TestPassphraseBits holds the estimates between what a clever guesser needs at
// least and what a random string of these characters would be worth.
func TestPassphraseBits(t *testing.T) {
	tests := []struct {
		pass       string
		least, top float64
	}{
		{"", 0, 0},
		{"a", 1, 6},
		{"aaaaaaaa", 1, 10},
		{"12345678", 1, 14},
		{"qwertyuiop", 1, 14},
		{"abcabcabc", 1, 15},
		{"password", 1, 6},
		{"Passw0rd1!", 5, 18},
		{"encryptme", 1, 6},
		{"s3cret", 1, 6},
		{"mynetwork", 1, 6},
		{"2024", 8, 14},
		{"geheimnis", 10, 30},
		{"hunter2", 10, 25},
		{"Tr0ub4dor&3", 20, 40},
		{"пароль", 10, 40},
		{"kxzqvbnp", 25, 38},
		{"correct horse battery staple", 40, 70},
		{"j8F2kq9ZxTw4", 45, 72},
		{"5f4dcc3b5aa765d61d8327deb882cf99", 85, 128},
		{"vQ8m+Z2kL9x/T4bW1nR7cY5uJ0pA3sDf", 130, 192},
		{"\xff\xfe\x00", 1, 30},
	}
	for _, tt := range tests {
		if got := PassphraseBits(tt.pass); got < tt.least || got > tt.top {
			t.Errorf("PassphraseBits(%q) = %.1f, want %v to %v", tt.pass, got, tt.least, tt.top)
		}
	}
}

// FuzzPassphraseBits holds that an estimate is a number, that saying something
// twice is worth one bit at most, and that no character is worth over 8.
func FuzzPassphraseBits(f *testing.F) {
	for _, s := range []string{"", "Passw0rd1!", "abcabc", "пароль", "\xff", "0000a@$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1000 {
			return
		}
		bits := PassphraseBits(s)
		if math.IsNaN(bits) || bits < 0 || bits > 8*float64(len(s)) {
			t.Errorf("PassphraseBits(%q) = %v", s, bits)
		}
		if !utf8.ValidString(s) {
			return // two broken ends may join to a character
		}
		if twice := PassphraseBits(s + s); twice > bits+1.001 {
			t.Errorf("%q: %v once, %v twice", s, bits, twice)
		}
	})
}
