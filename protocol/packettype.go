package protocol

import "fmt"

// Type is the packet type: the low five bits of the first byte.
type Type uint8

// The packet types of version 1.
const (
	// TypeInit is the first message of a handshake, 192 bytes.
	TypeInit Type = 1
	// TypeResp is the answer to an INIT, 128 bytes.
	TypeResp Type = 2
	// TypeCookie is the answer to an INIT while the responder is under load,
	// 72 bytes.
	TypeCookie Type = 3
	// TypeData is a sealed inner of a pair session or hop session.
	TypeData Type = 4
	// TypeGroup is a sealed inner that every member can open.
	TypeGroup Type = 5
	// TypeRelay carries a whole packet between an edge and a supernode, from or
	// to another edge.
	TypeRelay Type = 6
	// TypeReset tells an edge that the supernode has lost its session, 32
	// bytes.
	TypeReset Type = 7
	// TypeNotice tells an initiator which key indices the responder accepts, 48
	// bytes.
	TypeNotice Type = 8
	// TypeHello asks a supernode for its public key, 96 bytes.
	TypeHello Type = 9
	// TypeWelcome answers a HELLO, 96 bytes.
	TypeWelcome Type = 10
)

var typeNames = [...]string{
	TypeInit: "INIT", TypeResp: "RESP", TypeCookie: "COOKIE", TypeData: "DATA",
	TypeGroup: "GROUP", TypeRelay: "RELAY", TypeReset: "RESET",
	TypeNotice: "NOTICE", TypeHello: "HELLO", TypeWelcome: "WELCOME",
}

// String returns the type's name as in the specification, or its number.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("TYPE-%d", uint8(t))
}

// Transform is the XF byte of the header: how the rest of the packet is sealed.
// Numbers 0x40 to 0x5f are left to registered extensions; a receiver drops
// packets of unknown transforms and counts them by number.
type Transform uint8

// The transforms of version 1.
const (
	// XFNull is no protection at all. Both ends have to allow it.
	XFNull Transform = 0x00
	// XFGroupChaCha is GROUP under ChaCha20-Poly1305.
	XFGroupChaCha Transform = 0x01
	// XFGroupGCM is GROUP under AES-256-GCM.
	XFGroupGCM Transform = 0x02
	// XFDataChaCha is DATA under ChaCha20-Poly1305.
	XFDataChaCha Transform = 0x10
	// XFDataGCM is DATA under AES-256-GCM.
	XFDataGCM Transform = 0x11
	// XFHop is everything between an edge and a supernode.
	XFHop Transform = 0x20

	// XFPair stands in INIT, RESP, COOKIE and NOTICE between two edges.
	XFPair = XFDataChaCha
)

// String returns the transform's name, or its number.
func (x Transform) String() string {
	switch x {
	case XFNull:
		return "null"
	case XFGroupChaCha:
		return "group-chacha20-poly1305"
	case XFGroupGCM:
		return "group-aes-256-gcm"
	case XFDataChaCha:
		return "chacha20-poly1305"
	case XFDataGCM:
		return "aes-256-gcm"
	case XFHop:
		return "hop"
	}
	return fmt.Sprintf("transform-0x%02x", uint8(x))
}
