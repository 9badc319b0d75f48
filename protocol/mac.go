package protocol

import "errors"

// MACLen is the size of a hardware address in bytes.
const MACLen = 6

// MAC is an Ethernet hardware address (IEEE 802-2014 section 8).
type MAC [MACLen]byte

// Broadcast is the address of every station. It is a value to compare with.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ErrMAC says that a text is not a hardware address.
var ErrMAC = errors.New("protocol: not a hardware address like 02:00:5e:10:00:01")

// IsGroup reports whether the address is a broadcast or multicast address:
// its first byte has the lowest bit set.
func (m MAC) IsGroup() bool { return m[0]&1 != 0 }

// IsZero reports whether the address is all zeros, which stands for no address.
func (m MAC) IsZero() bool { return m == MAC{} }

const hexDigits = "0123456789abcdef"

// String returns the address as six pairs of lower-case digits with colons.
func (m MAC) String() string {
	var b [3*MACLen - 1]byte
	for i, c := range m {
		if i > 0 {
			b[3*i-1] = ':'
		}
		b[3*i] = hexDigits[c>>4]
		b[3*i+1] = hexDigits[c&15]
	}
	return string(b[:])
}

// ParseMAC reads an address of six pairs of digits, in either case, separated
// by colons or by hyphens throughout. It fails with ErrMAC.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	if len(s) != 3*MACLen-1 || s[2] != ':' && s[2] != '-' {
		return MAC{}, ErrMAC
	}
	for i := range m {
		if i > 0 && s[3*i-1] != s[2] {
			return MAC{}, ErrMAC
		}
		hi, ok1 := hexValue(s[3*i])
		lo, ok2 := hexValue(s[3*i+1])
		if !ok1 || !ok2 {
			return MAC{}, ErrMAC
		}
		m[i] = hi<<4 | lo
	}
	return m, nil
}

func hexValue(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
