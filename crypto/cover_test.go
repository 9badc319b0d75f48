package crypto

import (
	"bytes"
	"strings"
	"testing"
)

// TestCover: what is covered is there again under the same obfuscation key, has the length that
// was asked for, never looks the same, and stays as it is under another key.
func TestCover(t *testing.T) {
	sc, mask := NewScratch(), HelloMask([]byte("key"))
	begins := func(head []byte) bool { return bytes.HasPrefix(head, []byte("a message")) }
	seen := make(map[string]bool)
	for n := 16; n < 200; n += 7 {
		for _, more := range []int{0, CoverLen, 100} {
			message := []byte("a message " + strings.Repeat("x", n-10))
			pkt := mask.Cover(sc, bytes.Clone(message), n+more)
			if want := n + max(more, CoverLen); len(pkt) != want || seen[string(pkt[:16])] {
				t.Fatalf("%d bytes, want %d; seen before: %v", len(pkt), want, seen[string(pkt[:16])])
			}
			seen[string(pkt[:16])] = true
			for _, other := range []*Mask{HelloMask(nil), HelloMask([]byte("another"))} {
				was := bytes.Clone(pkt)
				if got := other.Uncover(sc, pkt, begins); got != nil || !bytes.Equal(pkt, was) {
					t.Fatalf("under another key: %q", got)
				}
			}
			if got := mask.Uncover(sc, pkt, begins); len(got) != len(pkt)-CoverLen || !bytes.HasPrefix(got, message) {
				t.Fatalf("%q", got)
			}
		}
	}
	if mask.Uncover(sc, make([]byte, maskMin-1), begins) != nil {
		t.Error("what is too short hides something")
	}
}

// TestObfsKeysDiffer: masks and paths are others with each obfuscation key, and without one
// what they were before there were any.
func TestObfsKeysDiffer(t *testing.T) {
	if HelloMaskKey(nil) != HelloMaskKey([]byte{}) || HelloMask(nil) != HelloMask([]byte{}) {
		t.Error("without a key the mask is not the same")
	}
	if HelloMaskKey(nil) == HelloMaskKey([]byte("a")) || HelloMaskKey([]byte("b")) == HelloMaskKey([]byte("a")) {
		t.Error("HELLO has the same mask key under two keys")
	}
	a, b := ObfsStreamPath([]byte("a")), ObfsStreamPath([]byte("b"))
	if a == b || len(a) != 23 || strings.Contains(a[1:], "/") || a[0] != '/' {
		t.Errorf("%q and %q", a, b)
	}
}
