package protocol

// MaxForward is the longest packet in bytes that an edge forwards to another
// one: handshakes and control messages are shorter, and every path carries a
// datagram with one inside.
const MaxForward = 1024

// Forward asks an edge to hand a packet on to another one with which it has a
// session. Two edges find each other so while no supernode answers.
type Forward struct {
	// To is the static key of the edge that gets the packet.
	To [32]byte
	// Packet is a whole one, masked as between edges, at most MaxForward bytes.
	Packet []byte
}

// Append appends the message with its type and length.
func (m *Forward) Append(dst []byte) []byte {
	return appendForward(dst, MsgForward, &m.To, m.Packet)
}

// ParseForward reads the value of a FORWARD, which Packet aliases. It fails with
// ErrShort without a packet, and with ErrLength if that is too long.
func ParseForward(value []byte) (Forward, error) {
	edge, packet, err := parseForward(value)
	return Forward{To: edge, Packet: packet}, err
}

// Forwarded is a Forward as the forwarding edge sends it on.
type Forwarded struct {
	// From is the static key of the edge that sent the Forward, as the
	// forwarding edge knows it.
	From [32]byte
	// Packet is that of the Forward.
	Packet []byte
}

// Append appends the message with its type and length.
func (m *Forwarded) Append(dst []byte) []byte {
	return appendForward(dst, MsgForwarded, &m.From, m.Packet)
}

// ParseForwarded reads the value of a FORWARDED as ParseForward does.
func ParseForwarded(value []byte) (Forwarded, error) {
	edge, packet, err := parseForward(value)
	return Forwarded{From: edge, Packet: packet}, err
}

func appendForward(dst []byte, typ MsgType, edge *[32]byte, packet []byte) []byte {
	dst, at := beginTLV(dst, typ)
	dst = append(dst, edge[:]...)
	return endTLV(append(dst, packet[:min(len(packet), MaxForward)]...), at)
}

func parseForward(value []byte) (edge [32]byte, packet []byte, err error) {
	switch n := len(value) - len(edge); {
	case n < 1:
		return edge, nil, ErrShort
	case n > MaxForward:
		return edge, nil, ErrLength
	}
	return [32]byte(value), value[len(edge):], nil
}
