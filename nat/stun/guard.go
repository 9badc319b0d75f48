package stun

import (
	"encoding/binary"
	"errors"
)

// Errors of Guard and the parsers.
var (
	// ErrMessage means that the bytes are not a well-formed STUN message.
	ErrMessage = errors.New("stun: not a well-formed message")
	// ErrAddress means that an address attribute has a length or a family
	// that no address has. It is the guard's reason to exist.
	ErrAddress = errors.New("stun: malformed address attribute")
	// ErrType means that the message is well formed but not of the method
	// and class that the parser is for.
	ErrType = errors.New("stun: unexpected message type")
	// ErrAttribute means that the message has an attribute which must be
	// understood and is not, lacks one that it needs, or fails its own
	// fingerprint.
	ErrAttribute = errors.New("stun: unacceptable attribute")
)

const (
	headerLen    = 20         // RFC 8489, section 5
	cookie       = 0x2112A442 // RFC 8489, section 5
	attributeLen = 4          // type and length in front of each value
	optionalFrom = 0x8000     // attributes from here on may be skipped (section 14)
	addressLen4  = 8          // zero, family, port and an IPv4 address
	addressLen6  = 20         // the same with an IPv6 address
	family4      = 1
	family6      = 2
)

// IsMessage reports whether a datagram is STUN: first two bits zero, the magic
// cookie, and a length field that covers the datagram exactly (PROTOCOL.md,
// "Which is it?"). One masked packet of ours in about 2^50 looks like that.
func IsMessage(b []byte) bool {
	return len(b) >= headerLen && b[0]&0xC0 == 0 &&
		binary.BigEndian.Uint32(b[4:]) == cookie &&
		int(binary.BigEndian.Uint16(b[2:]))+headerLen == len(b)
}

// Begins reports whether a STUN message may begin with the 16 bytes of head.
func Begins(head []byte) bool {
	return head[0]&0xC0 == 0 && binary.BigEndian.Uint32(head[4:]) == cookie
}

// Leading returns the STUN message that b begins with, whatever is behind it; nil: there is
// none.
func Leading(b []byte) []byte {
	if len(b) < headerLen {
		return nil
	}
	n := headerLen + int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b) || !IsMessage(b[:n]) {
		return nil
	}
	return b[:n]
}

// Guard returns nil when b may be given to the library's decoder. It returns
// ErrMessage when b is not STUN or its attributes do not fill it exactly, and
// ErrAddress when an address attribute has not exactly the length of its family.
// It reads b only and allocates nothing.
func Guard(b []byte) error {
	if !IsMessage(b) {
		return ErrMessage
	}
	for rest := b[headerLen:]; len(rest) > 0; {
		kind, value, next, ok := attribute(rest)
		if !ok {
			return ErrMessage
		}
		if isAddress(kind) && !validAddress(value) {
			return ErrAddress
		}
		rest = next
	}
	return nil
}

// attribute cuts the first attribute off b. Values are padded to four bytes;
// the padding may hold anything (RFC 8489, section 14).
func attribute(b []byte) (kind uint16, value, rest []byte, ok bool) {
	if len(b) < attributeLen {
		return 0, nil, nil, false
	}
	kind = binary.BigEndian.Uint16(b)
	n := int(binary.BigEndian.Uint16(b[2:]))
	padded := (n + 3) &^ 3
	b = b[attributeLen:]
	if len(b) < padded {
		return 0, nil, nil, false
	}
	return kind, b[:n], b[padded:], true
}

// isAddress reports whether values of this attribute are read as an address by
// anything in the library.
func isAddress(kind uint16) bool {
	switch kind {
	case 0x0001, // MAPPED-ADDRESS
		0x0002, 0x0004, 0x0005, 0x000B, // RFC 3489's RESPONSE-, SOURCE-, CHANGED- and REFLECTED-
		0x0012,         // XOR-PEER-ADDRESS
		0x0016,         // XOR-RELAYED-ADDRESS
		0x0020, 0x8020, // XOR-MAPPED-ADDRESS, and its number in drafts
		0x8023,         // ALTERNATE-SERVER
		0x802B, 0x802C: // RESPONSE-ORIGIN, OTHER-ADDRESS
		return true
	}
	return false
}

// validAddress reports whether v is an address value (RFC 8489, section 14.1).
func validAddress(v []byte) bool {
	switch len(v) {
	case addressLen4:
		return v[1] == family4
	case addressLen6:
		return v[1] == family6
	}
	return false
}
