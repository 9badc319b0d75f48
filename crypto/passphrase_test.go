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
		{"1q2w3e4r5t6z7u8i9o0p", 1, 25},
		{"1qaz2wsx3edc", 1, 20},
		{"Q1W2E3R4", 1, 20},
		{"zaq1ZAQ!", 10, 35},
		{"x8Kq2mZp9RtL4wVb", 60, 96},
		{"Xk3#mP9$vL2@qR7!", 60, 105},
		{"correcthorsebatterystaple", 40, 70},
		{"blumentopf fahrrad giraffe wolke", 45, 80},
		{"日本語のパスワード", 30, 80},
		{strings.Repeat("ab", 40), 1, 20},
		{"trustno1trustno1trustno1", 1, 15},
	}
	for _, tt := range tests {
		if got := PassphraseBits(tt.pass); got < tt.least || got > tt.top {
			t.Errorf("PassphraseBits(%q) = %.1f, want %v to %v", tt.pass, got, tt.least, tt.top)
		}
	}
}

// TestPassphraseBitsOfRepeats holds that saying something over and over is worth a
// few bits, also where the last time is broken off, as a long key is after the
// characters that are judged.
func TestPassphraseBitsOfRepeats(t *testing.T) {
	for _, s := range []string{"xk3", "xk3#mP9$vL2", "blumentopf"} {
		once := PassphraseBits(s)
		for _, n := range []int{2*len(s) + 1, 5*len(s) - 1, mostJudged - 1, mostJudged, mostJudged + 1, 3 * mostJudged} {
			text := strings.Repeat(s, n/len(s)+1)[:n]
			if bits := PassphraseBits(text); bits > once+math.Log2(mostJudged) {
				t.Errorf("%q over and over, %d characters: %.1f bits, once %.1f", s, n, bits, once)
			}
		}
	}
}

// TestPassphraseBitsOfALongKey holds that a key file of a mebibyte costs no more to
// judge than its first thousand characters.
func TestPassphraseBitsOfALongKey(t *testing.T) {
	for _, s := range []string{"ab1", "4@$0", "password1A!qwe", "日本"} {
		text := strings.Repeat(s, MaxKeyFile/len(s)) + "#"
		if bits, want := PassphraseBits(text), PassphraseBits(string([]rune(text)[:mostJudged])); bits != want {
			t.Errorf("%q many times: %v, want %v", s, bits, want)
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
		bits := PassphraseBits(s)
		if math.IsNaN(bits) || bits < 0 || bits > 8*float64(len(s)) {
			t.Errorf("PassphraseBits(%q) = %v", s, bits)
		}
		if !utf8.ValidString(s) {
			return // two broken ends may join to a character
		}
		if 2*utf8.RuneCountInString(s) > mostJudged {
			return // no more than the beginning of the second is looked at
		}
		if twice := PassphraseBits(s + s); twice > bits+1.001 {
			t.Errorf("%q: %v once, %v twice", s, bits, twice)
		}
	})
}
