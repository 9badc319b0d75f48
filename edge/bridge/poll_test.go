package bridge

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestPollFrames holds the bytes of the frames that ask for a station, and that say
// where one is.
func TestPollFrames(t *testing.T) {
	self, ip := [6]byte{2, 0, 0, 0, 0, 1}, [4]byte{192, 0, 2, 7}
	for _, c := range []struct {
		what string
		got  []byte
		want string
	}{
		{"asks", AppendPoll([]byte{}, self, hostKey(7), ip), "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 c0000207 000000000000000000000000000000000000"},
		{"asks in a VLAN", AppendPoll(nil, self, Key{VLAN: 10, MAC: hostKey(7).MAC}, ip), "ffffffffffff 020000000001 8100 000a 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 c0000207 0000000000000000000000000000"},
		{"has moved", AppendMoved(nil, hostKey(7)), "ffffffffffff 525400000007 8035 0001 0800 06 04 0003 525400000007 00000000 525400000007 00000000 000000000000000000000000000000000000"},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if string(c.got) != string(want) {
			t.Errorf("%s:\n%x, want\n%x", c.what, c.got, want)
		}
	}
}

// arpOf returns an ARP frame of a station that has an address.
func arpOf(key Key, addr [4]byte) []byte {
	b := AppendPoll(nil, key.MAC, key, [4]byte{192, 0, 2, 99})
	at := ethLen + 14
	if key.VLAN != 0 {
		at += vlanTagLen
	}
	copy(b[at:], addr[:])
	return b
}

// TestARPSender reads the address of whoever sent ARP in its own name, and nothing else.
func TestARPSender(t *testing.T) {
	ip := [4]byte{192, 0, 2, 7}
	for _, vlan := range []uint16{0, 10} {
		b := arpOf(Key{VLAN: vlan, MAC: hostKey(7).MAC}, ip)
		if got := parsed(t, b).ARPSender(); got != ip {
			t.Errorf("VLAN %d: %v", vlan, got)
		}
		for n := range b {
			f := new(Parsed)
			if !f.Parse(b[:n]) {
				continue
			}
			if got := f.ARPSender(); got != ip && got != ([4]byte{}) {
				t.Errorf("%d bytes: %v", n, got)
			}
		}
		b[6] ^= 0x10 // another one's name
		if got := parsed(t, b).ARPSender(); got != ([4]byte{}) {
			t.Errorf("in another name: %v", got)
		}
	}
	if got := parsed(t, AppendMoved(nil, hostKey(7))).ARPSender(); got != ([4]byte{}) {
		t.Errorf("RARP: %v", got)
	}
}
