package protocol

import (
	"encoding/binary"
	"time"
)

// MaxPortSamples is how many ports a Call may name: enough to tell a block of
// ports, and its ends, from all ports.
const MaxPortSamples = 16

// Call asks a peer to punch holes at the same time. It travels through the
// relay, and its receiver limits how many it answers.
type Call struct {
	// Gen is the generation of the candidates.
	Gen uint32
	// Sent is the time of sending in milliseconds of the sender's own clock,
	// which may start anywhere. The CallAck echoes it.
	Sent uint32
	// Mapping is the mapping behavior of the sender's NAT by RFC 4787: 0
	// unknown, 1 endpoint-independent, 2 address-dependent, 3
	// address-and-port-dependent.
	Mapping uint8
	// Ports are external ports that the sender's NAT gave to sockets that were
	// opened one after the other, oldest first, at most MaxPortSamples.
	Ports []uint16
	// List has at most MaxCandidates candidates.
	List []Candidate
}

// Append appends the message with its type and length.
func (m *Call) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgCall)
	return endTLV(m.appendFields(dst), at)
}

// ParseCall reads the value of a CALL. It fails with ErrShort, ErrValue or
// ErrTooMany.
func ParseCall(value []byte) (Call, error) {
	r := reader{b: value}
	m := r.call()
	return m, r.done()
}

// CallAck answers a Call with the same about its own sender.
type CallAck struct {
	// Echo is the Sent of the Call.
	Echo uint32
	Call
}

// Append appends the message with its type and length.
func (m *CallAck) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgCallAck)
	dst = binary.BigEndian.AppendUint32(dst, m.Echo)
	return endTLV(m.appendFields(dst), at)
}

// ParseCallAck reads the value of a CALLACK. It fails with ErrShort, ErrValue
// or ErrTooMany.
func ParseCallAck(value []byte) (CallAck, error) {
	r := reader{b: value}
	m := CallAck{Echo: r.u32()}
	m.Call = r.call()
	return m, r.done()
}

func (m *Call) appendFields(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, m.Gen)
	dst = binary.BigEndian.AppendUint32(dst, m.Sent)
	ports := m.Ports[:min(len(m.Ports), MaxPortSamples)]
	dst = append(dst, m.Mapping, byte(len(ports)))
	for _, p := range ports {
		dst = binary.BigEndian.AppendUint16(dst, p)
	}
	return appendCandidates(dst, m.List)
}

func (r *reader) call() Call {
	m := Call{Gen: r.u32(), Sent: r.u32(), Mapping: r.u8()}
	n := r.u8()
	if n > MaxPortSamples {
		r.fail(ErrTooMany)
		return Call{}
	}
	for range n {
		m.Ports = append(m.Ports, r.u16())
	}
	m.List = r.candidates()
	return m
}

// Go gives the start of a punch that Call and CallAck agreed on.
type Go struct {
	// Gen is the generation of the Call that is meant.
	Gen uint32
	// Delay is how long after its arrival the receiver starts, at most 65 535
	// ms, in whole milliseconds.
	Delay time.Duration
}

// Append appends the message with its type and length.
func (m *Go) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgGo)
	dst = binary.BigEndian.AppendUint32(dst, m.Gen)
	return endTLV(appendMilliseconds(dst, m.Delay), at)
}

// ParseGo reads the value of a GO. It fails with ErrShort or ErrLength.
func ParseGo(value []byte) (Go, error) {
	r := reader{b: value}
	m := Go{Gen: r.u32(), Delay: r.milliseconds()}
	return m, r.done()
}

// appendMilliseconds appends a duration as u16 milliseconds, rounded down and
// held within 0 to 65 535.
func appendMilliseconds(dst []byte, d time.Duration) []byte {
	ms := min(max(d/time.Millisecond, 0), 0xffff)
	return binary.BigEndian.AppendUint16(dst, uint16(ms))
}

func (r *reader) milliseconds() time.Duration {
	return time.Duration(r.u16()) * time.Millisecond
}
