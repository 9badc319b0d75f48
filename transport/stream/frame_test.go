package stream

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// split returns the packets of a message.
func split(message []byte) (packets []string, err error) {
	for len(message) > 0 {
		var pkt []byte
		if pkt, message, err = nextPacket(message); err != nil {
			return packets, err
		}
		packets = append(packets, string(pkt))
	}
	return packets, nil
}

func TestNextPacket(t *testing.T) {
	longest := bytes.Repeat([]byte{7}, MaxPacket)
	for name, tt := range map[string]struct {
		message []byte
		want    []string
		bad     bool
	}{
		"nothing":       {nil, nil, false},
		"one":           {[]byte("\x00\x03abc"), []string{"abc"}, false},
		"three":         {[]byte("\x00\x01a\x00\x02bc\x00\x01d"), []string{"a", "bc", "d"}, false},
		"longest":       {appendPacket(nil, longest), []string{string(longest)}, false},
		"half a length": {[]byte("\x00\x01a\x00"), []string{"a"}, true},
		"cut":           {[]byte("\x00\x04abc"), nil, true},
		"empty":         {[]byte("\x00\x01a\x00\x00"), []string{"a"}, true},
		"too long":      {appendPacket(nil, append(longest, 7)), nil, true},
	} {
		got, err := split(tt.message)
		if !slices.Equal(got, tt.want) || errors.Is(err, errFrame) != tt.bad {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzNextPacket has every message give packets that make the same message again,
// up to its fault.
func FuzzNextPacket(f *testing.F) {
	f.Add([]byte("\x00\x03abc\x00\x01d"))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("\xff\xffabc"))
	f.Fuzz(func(t *testing.T, message []byte) {
		packets, err := split(message)
		var again []byte
		for _, p := range packets {
			if len(p) == 0 || len(p) > MaxPacket {
				t.Fatalf("a packet of %d bytes", len(p))
			}
			again = appendPacket(again, []byte(p))
		}
		if !bytes.HasPrefix(message, again) || err == nil && len(again) != len(message) {
			t.Errorf("%x became %x, %v", message, again, err)
		}
	})
}
