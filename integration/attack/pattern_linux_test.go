package attack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"hedgerow/crypto"
)

// clearText stands in every payload that crosses the overlay.
const clearText = "the-plaintext-of-this-test-0123456789"

// pattern is bytes that must not be seen on the underlay. Each has 6 bytes or
// more: in 100 MB of random bytes one of 6 turns up once in three million runs.
type pattern struct {
	name  string
	bytes []byte
}

// patterns returns what the traffic of these members could give away.
func patterns(c *crypto.Community, members []*member) []pattern {
	id, hash := c.ID(), c.NameHash()
	list := []pattern{
		{"plaintext", []byte(clearText)},
		{"community name", []byte(communityName)},
		{"community id", id[:]},
		{"name hash", hash[:16]},
		{"passphrase", []byte(passphrase)},
		{"community secret", c.Secret[:16]},
		{"epoch key", c.Epochs[0].Key[:16]},
		{"IPv6 link-local address", []byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0}},
		{"ARP packet", []byte{0, 1, 8, 0, 6, 4, 0}},
	}
	for _, m := range members {
		prefix := m.addr6.As16()
		eui := []byte{m.mac[0] ^ 2, m.mac[1], m.mac[2], 0xff, 0xfe, m.mac[3], m.mac[4], m.mac[5]}
		list = append(list,
			pattern{"MAC of " + m.Name, m.mac[:]},
			pattern{"interface identifier of " + m.Name, eui},
			pattern{"IPv6 prefix", prefix[:8]},
			pattern{"name of " + m.Name, []byte(m.Name)},
		)
		from := m.addr.As4()
		for _, other := range members {
			to := other.addr.As4()
			list = append(list, pattern{
				fmt.Sprintf("IPv4 addresses %s, %s", m.Name, other.Name), append(from[:len(from):len(from)], to[:]...),
			})
		}
	}
	return list
}

// find returns the names of the patterns in b.
func find(b []byte, list []pattern) (found []string) {
	for _, p := range list {
		if bytes.Contains(b, p.bytes) {
			found = append(found, p.name)
		}
	}
	if holdsIPv4(b) {
		found = append(found, "IPv4 header")
	}
	return found
}

// holdsIPv4 finds an IPv4 header without options anywhere in b: version and
// length, a total length that fits, a common protocol and a right checksum. In
// random bytes one turns up at one of 2^44 places.
func holdsIPv4(b []byte) bool {
	for ; len(b) >= 20; b = b[1:] {
		if b[0] != 0x45 {
			continue
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		if size < 20 || size > len(b) || bytes.IndexByte([]byte{unix.IPPROTO_ICMP, unix.IPPROTO_TCP, unix.IPPROTO_UDP}, b[9]) < 0 {
			continue
		}
		sum := add16(0, b[:20])
		if sum = sum&0xffff + sum>>16; sum&0xffff+sum>>16 == 0xffff {
			return true
		}
	}
	return false
}

// The search finds a header and each pattern at any place.
func TestFind(t *testing.T) {
	noise := func() []byte { return bytes.Repeat([]byte{0xd7, 0x11, 0x08}, 40) }
	list := []pattern{{"name", []byte(communityName)}, {"mac", []byte{2, 1, 2, 3, 4, 5}}}
	if found := find(noise(), list); len(found) > 0 {
		t.Errorf("found %v in noise", found)
	}
	for at := range 120 - len(communityName) {
		b := noise()
		copy(b[at:], communityName)
		if found := find(b, list); len(found) != 1 || found[0] != "name" {
			t.Fatalf("at %d: %v", at, found)
		}
	}
	// The example of RFC 1071's kind that everybody uses: 192.168.0.1 to .199.
	header := []byte{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7}
	for _, at := range []int{0, 1, 5} {
		b := noise()
		copy(b[at:], header)
		if !holdsIPv4(b) {
			t.Errorf("no header found at %d", at)
		}
		b[at+12] ^= 1
		if holdsIPv4(b) {
			t.Errorf("a header with a wrong checksum found at %d", at)
		}
	}
}
