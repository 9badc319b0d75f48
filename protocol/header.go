package protocol

import (
	"encoding/binary"
	"errors"
)

// Version is the protocol version in the top three bits of every header.
const Version = 1

// Revision is what INIT, HELLO and WELCOME have in CTR. Packets of before version 1
// was final have 0 there; any other number is a later state of version 1, which this
// one gets on with.
const Revision = 1

// Sizes in bytes of the parts of a packet.
const (
	// HeaderLen is the size of the header in front of every packet.
	HeaderLen = 16
	// TagLen is the size of an AEAD tag, a hop tag or a mac at the end of a
	// packet.
	TagLen = 16
	// SaltLen is the size of the salt between header and inner of a GROUP
	// packet.
	SaltLen = 16
	// GroupTailLen is the size of the random bytes at the end of a GROUP packet,
	// which are others in each copy of it.
	GroupTailLen = 8
	// GroupOverhead is how many bytes a GROUP packet is longer than its inner.
	GroupOverhead = HeaderLen + SaltLen + TagLen + GroupTailLen
	// RelayOverhead is how many bytes a RELAY packet is longer than the packet
	// that it carries: a header and a hop tag.
	RelayOverhead = HeaderLen + TagLen
	// MaxDatagram is the size of the largest datagram that is sent or
	// accepted.
	MaxDatagram = 2048
)

// MaxEdgeSupernodes is how many supernodes one edge registers with, and an invite names.
const MaxEdgeSupernodes = 8

// Sizes in bytes of the packets that have only one size. A receiver drops any
// other size of these types.
const (
	InitLen    = 192
	RespLen    = 128
	CookieLen  = 72
	ResetLen   = 32
	NoticeLen  = 48
	HelloLen   = 96
	WelcomeLen = 96
)

// Errors of ParseHeader and of the packet codecs. They are opaque values for
// counters and tests; none holds bytes of the packet.
var (
	// ErrShort says that the bytes end before the value does.
	ErrShort = errors.New("protocol: too short")
	// ErrLength says that the bytes go on after the value, or that a packet
	// of one fixed size has another.
	ErrLength = errors.New("protocol: wrong length")
	// ErrVersion says that the header is of another protocol version.
	ErrVersion = errors.New("protocol: unknown version")
	// ErrType says that the packet type is unknown, or not the one that the
	// parser is for.
	ErrType = errors.New("protocol: unknown packet type")
	// ErrFlags says that a flag is set that this version does not know.
	ErrFlags = errors.New("protocol: unknown flag")
)

// Flags are the bits of the header's FL byte.
type Flags uint8

// The flags that are known; a packet with any other is dropped.
const (
	// FlagFederated marks a RELAY packet that came from another supernode and
	// so is not handed to a third one.
	FlagFederated Flags = 1
	// FlagExceptDirect asks the supernode to leave the members of the
	// sender's DIRECT set out of a flood.
	FlagExceptDirect Flags = 2
	// FlagCopy marks a RELAY packet from a supernode as a copy of a flood, which is
	// veiled twice. It is the same bit.
	FlagCopy Flags = 2

	knownFlags = FlagFederated | FlagExceptDirect
)

// KINone is the key index of packets that belong to no epoch: those between
// an edge and a supernode.
const KINone = 255

// HandleAll is the handle that stands for the whole community in a RELAY packet.
// Supernodes give it to no edge, nor the handle 0.
const HandleAll = 0xFFFFFFFF

// Header is the 16 bytes in front of every packet, unmasked.
type Header struct {
	// Type says which packet this is.
	Type Type
	// XF is the transform of the rest. Unknown ones are not an error here, so
	// that the caller can count them by their number.
	XF Transform
	// KI is the index of the epoch whose key was used, KINone for none.
	KI uint8
	// Flags are the known flags that are set.
	Flags Flags
	// RX is the receiver's session index in DATA and RELAY, the community tag
	// in GROUP, the sender's session index in INIT, and the index that is
	// being answered in RESP, COOKIE, RESET and NOTICE.
	RX uint32
	// CTR is the counter under the packet's key, from 0, never reused. In
	// RELAY it is a handle and a counter: see RelayCTR. In RESP it is the
	// responder's session index shifted left by 32, in INIT, HELLO and WELCOME
	// the Revision.
	CTR uint64
}

// Put writes the header to dst[:16]. It panics if dst is shorter.
func (h Header) Put(dst []byte) {
	_ = dst[HeaderLen-1]
	dst[0] = Version<<5 | byte(h.Type)&0x1f
	dst[1] = byte(h.XF)
	dst[2] = h.KI
	dst[3] = byte(h.Flags)
	binary.BigEndian.PutUint32(dst[4:], h.RX)
	binary.BigEndian.PutUint64(dst[8:], h.CTR)
}

// append appends the header to dst.
func (h Header) append(dst []byte) []byte {
	var b [HeaderLen]byte
	h.Put(b[:])
	return append(dst, b[:]...)
}

// OfHop reports whether h is of a packet between an edge and its supernode, sealed by the
// session of the two (PROTOCOL.md, section 5). One in 100 million is that of noise.
func (h Header) OfHop() bool { return h.XF == XFHop && h.KI == KINone }

// ParseHeader reads the unmasked header at the start of b, whatever follows. It
// fails with ErrShort, ErrVersion, ErrType or ErrFlags; the parser of the type
// checks whether the size fits it.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, ErrShort
	}
	if b[0]>>5 != Version {
		return Header{}, ErrVersion
	}
	h := Header{
		Type:  Type(b[0] & 0x1f),
		XF:    Transform(b[1]),
		KI:    b[2],
		Flags: Flags(b[3]),
		RX:    binary.BigEndian.Uint32(b[4:]),
		CTR:   binary.BigEndian.Uint64(b[8:]),
	}
	if h.Type < TypeInit || h.Type > TypeWelcome {
		return Header{}, ErrType
	}
	if h.Flags&^knownFlags != 0 {
		return Header{}, ErrFlags
	}
	return h, nil
}

// Len returns the length in bytes of all packets of a type of the handshakes, and 0 for another
// type.
func (t Type) Len() int {
	switch t {
	case TypeInit:
		return InitLen
	case TypeResp:
		return RespLen
	case TypeCookie:
		return CookieLen
	case TypeNotice:
		return NoticeLen
	case TypeHello:
		return HelloLen
	case TypeWelcome:
		return WelcomeLen
	case TypeReset:
		return ResetLen
	}
	return 0
}

// Older reports whether the header is one of an INIT, a HELLO or a WELCOME from before
// version 1 was final.
func (h Header) Older() bool {
	return h.CTR == 0 && (h.Type == TypeInit || h.Type == TypeHello || h.Type == TypeWelcome)
}

// parseFixed reads the header of a packet that has one type and one size.
func parseFixed(b []byte, t Type, size int) (Header, error) {
	h, err := ParseHeader(b)
	switch {
	case err != nil:
		return Header{}, err
	case h.Type != t:
		return Header{}, ErrType
	case len(b) != size:
		return Header{}, ErrLength
	}
	return h, nil
}

// RelayCTR joins the two halves of a RELAY packet's CTR: the handle of the
// destination towards the supernode, of the source from it, and the counter
// of the hop session, which is one for all handles.
func RelayCTR(handle, counter uint32) uint64 {
	return uint64(handle)<<32 | uint64(counter)
}

// SplitRelayCTR is the inverse of RelayCTR.
func SplitRelayCTR(ctr uint64) (handle, counter uint32) {
	return uint32(ctr >> 32), uint32(ctr)
}
