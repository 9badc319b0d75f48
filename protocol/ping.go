package protocol

import (
	"encoding/binary"
	"net/netip"
)

// Ping asks for a Pong over the same path. The authenticated answer makes the
// path usable.
type Ping struct {
	// Nonce is echoed by the Pong; random, used once.
	Nonce [8]byte
	// Gen is the generation of the sender's candidates.
	Gen uint32
	// Path is the sender's number for the path, for its own use.
	Path uint8
	// Pad is the number of zero bytes behind, so that the packet is as long as
	// a frame's: a path that drops long packets is found so. At most MaxPad.
	Pad int
}

const pingLen = 8 + 4 + 1 // nonce, generation, path

// Lengths in bytes that senders of a PING have to know.
const (
	// PingLen is the length of a PING without padding, with its type and length.
	PingLen = tlvLen + pingLen
	// PingDatagramLen is the length of a DATA packet that holds a PING without
	// padding and nothing else: header, first byte of the inner, PING, tag.
	PingDatagramLen = HeaderLen + 1 + PingLen + TagLen
	// MinPingPad is the least padding of a PING. With it even a PONG that names an
	// IPv6 address is not longer than its PING, so it cannot amplify.
	MinPingPad = pongLen + 1 + 16 + 2 - pingLen
)

const pongLen = 8 + 8 + 4 // nonce, highest, received; seen comes on top

// MaxPad is the most padding in bytes of a message: with it a ping is as long as
// any frame, which goes in pieces.
const MaxPad = 1 << 14

// Append appends the message with its type and length.
func (m *Ping) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgPing)
	dst = append(dst, m.Nonce[:]...)
	dst = binary.BigEndian.AppendUint32(dst, m.Gen)
	dst = append(dst, m.Path)
	return endTLV(appendZeros(dst, min(m.Pad, MaxPad)), at)
}

// ParsePing reads the value of a PING. It fails with ErrShort or ErrValue.
func ParsePing(value []byte) (Ping, error) {
	r := reader{b: value}
	var m Ping
	r.copyTo(m.Nonce[:])
	m.Gen = r.u32()
	m.Path = r.u8()
	m.Pad = r.pad(MaxPad)
	return m, r.done()
}

// pad reads the rest of the value as padding, at most that many bytes, and
// returns its length. The values of the bytes do not matter.
func (r *reader) pad(most int) int {
	n := len(r.b)
	if n > most {
		r.fail(ErrValue)
		return 0
	}
	r.b = nil
	return n
}

// Pong answers a Ping, over the path that it came by and never longer than it.
type Pong struct {
	// Nonce is the Ping's.
	Nonce [8]byte
	// Seen is the address that the Ping came from; the zero value if it came
	// by a relay.
	Seen netip.AddrPort
	// Highest is the highest counter and Received the number of packets that
	// were received in this session.
	Highest  uint64
	Received uint32
	// Pad is the number of zero bytes behind, at most MaxPad.
	Pad int
}

// PongRoom returns how much padding a Pong that names seen may have so that it
// is not longer than the Ping: a negative number if the Ping was too short for
// any answer.
func PongRoom(p Ping, seen netip.AddrPort) int {
	fixed := pongLen + 1
	if seen.IsValid() {
		fixed += seen.Addr().Unmap().BitLen()/8 + 2
	}
	return pingLen + p.Pad - fixed
}

// Pong returns the answer to a PING that came from seen, as long as the PING unless that is
// too short for any.
func (m Ping) Pong(seen netip.AddrPort) Pong {
	return Pong{Nonce: m.Nonce, Seen: seen, Pad: max(0, PongRoom(m, seen))}
}

// Append appends the message with its type and length.
func (m *Pong) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgPong)
	dst = append(dst, m.Nonce[:]...)
	dst = appendAddr(dst, m.Seen)
	dst = binary.BigEndian.AppendUint64(dst, m.Highest)
	dst = binary.BigEndian.AppendUint32(dst, m.Received)
	return endTLV(appendZeros(dst, min(m.Pad, MaxPad)), at)
}

// ParsePong reads the value of a PONG. It fails with ErrShort or ErrValue.
func ParsePong(value []byte) (Pong, error) {
	r := reader{b: value}
	var m Pong
	r.copyTo(m.Nonce[:])
	m.Seen = r.addrOrNone()
	m.Highest = r.u64()
	m.Received = r.u32()
	m.Pad = r.pad(MaxPad)
	return m, r.done()
}
