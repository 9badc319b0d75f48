package netwatch

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/nat/nat64"
)

// userOptions is a message of the kernel with options of a router advertisement.
func userOptions(kind uint16, icmp byte, options ...byte) []byte {
	b := make([]byte, headerLen+useroptLen)
	binary.NativeEndian.PutUint32(b, uint32(len(b)+len(options)+8))
	binary.NativeEndian.PutUint16(b[4:], kind)
	b[headerLen] = unix.AF_INET6
	binary.NativeEndian.PutUint16(b[headerLen+useroptOptsAt:], uint16(len(options)))
	b[headerLen+useroptICMPAt] = icmp
	return append(append(b, options...), 8, 0, 1, 0, 1, 2, 3, 4) // and an attribute
}

// What the kernel passes on is read, whatever else stands there.
func TestReadOptions(t *testing.T) {
	pref64 := []byte{38, 2, 0x07, 0x08, 0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}
	dns := []byte{25, 3, 0, 0, 0, 0, 1, 1, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x35}
	var got []string
	read := func(b []byte) []string {
		got = nil
		readOptions(b, func(p nat64.Prefix, lifetime time.Duration) { got = append(got, fmt.Sprint(p, lifetime)) })
		return got
	}
	one := []string{"64:ff9b::/96 30m0s"}
	if got := read(userOptions(useroptKind, routerAdvert, slices.Concat(dns, pref64)...)); !slices.Equal(got, one) {
		t.Errorf("%q", got)
	}
	two := append(userOptions(useroptKind, routerAdvert, pref64...), userOptions(useroptKind, routerAdvert, pref64...)...)
	if got := read(two); !slices.Equal(got, append(one, one...)) {
		t.Errorf("%q", got)
	}
	for name, b := range map[string][]byte{
		"another kind": userOptions(unix.RTM_NEWADDR, routerAdvert, pref64...), "another ICMP type": userOptions(useroptKind, 135, pref64...),
		"other options": userOptions(useroptKind, routerAdvert, dns...), "a length of 0": userOptions(useroptKind, routerAdvert, append([]byte{38, 0, 0, 0, 0, 0, 0, 0}, pref64...)...),
		"nothing": nil,
	} {
		if got := read(b); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
	for n := range two {
		read(two[:n]) // does not end beyond what is there
	}
}
