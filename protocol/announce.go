package protocol

import "encoding/binary"

// Announce tells the members on the same LAN of an edge. It travels in a GROUP
// packet by link-scope multicast (RFC 4291); the edge's address is the
// datagram's source with the port named here.
type Announce struct {
	// Statement is the identity's signed statement, StatementLen bytes.
	Statement []byte
	// Port is the UDP port of the edge's data socket.
	Port uint16
}

// Append appends the message with its type and length. The statement has to
// have StatementLen bytes.
func (m *Announce) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgAnnounce)
	dst = append(dst, m.Statement...)
	return endTLV(binary.BigEndian.AppendUint16(dst, m.Port), at)
}

// ParseAnnounce reads the value of an ANNOUNCE. The statement is not verified.
// It fails with ErrShort or ErrLength.
func ParseAnnounce(value []byte) (Announce, error) {
	r := reader{b: value}
	m := Announce{Statement: r.statement(), Port: r.u16()}
	return m, r.done()
}
