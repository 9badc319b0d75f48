package adversary

import (
	"io"
	"time"

	"hedgerow/protocol"
)

// Message appends one control message to a body, as the Append methods of package
// protocol do.
type Message = func([]byte) []byte

// Surroundings are what an end needs of the world: randomness and the time.
type Surroundings struct {
	Rand io.Reader
	Now  func() time.Time
}

// Heard is what an end makes of a packet that was handed to it.
type Heard struct {
	Header protocol.Header
	Inner  []byte // of a DATA packet that opened; valid until the packet is
	Packet []byte // inside of a RELAY packet that opened, still masked
	Handle uint32 // whose Packet is, or whom it is for
	Reply  []byte // goes back to where the packet came from, masked; nil: nothing
	Began  bool   // a session can be sealed under from now on
}

// Messages calls f with every control message of an inner, until one cannot be read.
func Messages(inner []byte, f func(typ protocol.MsgType, value []byte)) {
	in, err := protocol.ParseInner(inner)
	if err != nil || in.Kind != protocol.KindControl {
		return
	}
	for rest := in.Body; len(rest) > 0; {
		var typ uint8
		var value []byte
		if typ, value, rest, err = protocol.NextTLV(rest); err != nil {
			return
		}
		f(protocol.MsgType(typ), value)
	}
}

// control appends a body of messages behind room for a header.
func control(buf []byte, messages []Message) []byte {
	buf = protocol.AppendControl(buf[:protocol.HeaderLen])
	for _, m := range messages {
		buf = m(buf)
	}
	return buf
}
