package crypto

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hubID returns an identity that an edge can have.
func hubID(n byte) [32]byte { return [32]byte(NewIdentity([32]byte{n}).ID) }

// TestHubs holds what a list of hubs may look like, and that it comes back from a file as
// it was.
func TestHubs(t *testing.T) {
	a, b := hubID(1), hubID(2)
	if string(a[:]) > string(b[:]) {
		a, b = b, a
	}
	want := [][32]byte{a, b}
	for _, text := range []string{
		EncodeHubs(want), fmt.Sprintf("%x,%x", b, a), fmt.Sprintf(" %X\t, %x ,", a, b), fmt.Sprintf("%x-%x %x", a[:2], a[2:], b),
	} {
		got, err := ParseHubs(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
	c := kGolden()
	c.Hubs = want
	text, err := c.AppendText(nil)
	if err != nil || !strings.Contains(string(text), "\nhubs = "+EncodeHubs(want)+"\n") {
		t.Fatalf("written: %v\n%s", err, text)
	}
	again, err := ParseCommunity(text)
	if diff := cmp.Diff(c, again); err != nil || diff != "" {
		t.Errorf("%v (-written +read):\n%s", err, diff)
	}
	if c.Hubs = [][32]byte{a, a}; c.check() == nil {
		t.Error("a hub may be there twice")
	}
}

// TestHubErrors puts lines about hubs into the golden file.
func TestHubErrors(t *testing.T) {
	one := fmt.Sprintf("%x", hubID(1))
	var many []string
	for i := range MaxHubs + 1 {
		many = append(many, fmt.Sprintf("%x", hubID(byte(i))))
	}
	for _, tt := range []struct{ line, says string }{
		{"hubs", "hubs has no value: write hubs = VALUE"},
		{"hubs =", "hubs has no value"},
		{"hubs = ,", "line 5: no hub is named"},
		{"hubs = 9f3a-71c2-e0b4", `line 5: "9f3a-71c2-e0b4" is no identity of a hub: write its 64 hexadecimal digits, which 'edge identity' shows`},
		{"hubs = " + one[1:], "is no identity of a hub"},
		{"hubs = " + one + "00", "is no identity of a hub"},
		{"hubs = true", `"true" is no identity of a hub`},
		{"hubs = " + strings.Repeat("0", 64), "line 5: 0000-0000-0000 is an identity that no edge can have"},
		{"hubs = " + one + " " + one, "is there twice"},
		{"hubs = " + one + "\nhubs = " + one, "line 6: hubs was already set in line 5"},
		{"hub = " + one, `unknown word "hub": the nearest one is "hubs"`},
		{"isolated = true", "unknown word"},
		{"hubs = " + strings.Join(many, " "), "65 hubs are more than the 64"},
	} {
		text := strings.Replace(string(kGoldenText(t)), "skew =", tt.line+"\nskew =", 1)
		if c, err := ParseCommunity([]byte(text)); err == nil || c != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v, want %q", tt.line, err, tt.says)
		}
	}
}
