package protocol

import "encoding/binary"

// EtherTypes that the protocol looks at (IEEE registry).
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeIPv6 = 0x86dd
	// EtherTypeVLAN marks an 802.1Q tag, EtherTypeQinQ an 802.1ad tag.
	EtherTypeVLAN = 0x8100
	EtherTypeQinQ = 0x88a8
)

const (
	// EthernetLen is the size of an Ethernet header without tags.
	EthernetLen = 14
	// VLANLen is the size of one tag.
	VLANLen = 4
)

// Frame is a view of an Ethernet frame without preamble and check sequence.
// Valid has to be asked once, first; on a frame that is not valid the other
// methods may panic.
type Frame []byte

// Valid returns nil if the Ethernet header and its tags are all there, else
// ErrShort.
func (f Frame) Valid() error {
	if len(f) < EthernetLen || f.headerLen() > len(f) {
		return ErrShort
	}
	return nil
}

// Dst returns the destination address.
func (f Frame) Dst() MAC { return MAC(f[:MACLen]) }

// Src returns the source address.
func (f Frame) Src() MAC { return MAC(f[MACLen : 2*MACLen]) }

// EtherType returns the type after all tags. Values below 0x0600 are lengths
// (IEEE 802.3).
func (f Frame) EtherType() uint16 {
	return binary.BigEndian.Uint16(f[f.headerLen()-2:])
}

// Payload returns the bytes after the Ethernet header and its tags.
func (f Frame) Payload() []byte { return f[f.headerLen():] }

// headerLen returns the size of the Ethernet header with its tags. It is more
// than len(f) if the frame ends within a tag; f has at least 14 bytes.
func (f Frame) headerLen() int {
	n := EthernetLen
	for n <= len(f) && IsTag(binary.BigEndian.Uint16(f[n-2:])) {
		n += VLANLen
	}
	return n
}

// IsTag reports whether an EtherType is that of a tag, behind which another one follows.
func IsTag(etherType uint16) bool {
	return etherType == EtherTypeVLAN || etherType == EtherTypeQinQ
}
