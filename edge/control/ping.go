package control

// Kinds of a relayed path. Those of a direct one are the kinds of candidates, as
// package address names them: "host", "reflexive", "peer-reflexive", "mapped",
// "static", "turn", "lan".
const (
	// KindUDP means that the supernode is reached by UDP.
	KindUDP = "udp"
	// KindTLS means that it is reached by a TLS stream.
	KindTLS = "tls"
	// KindTURN is a TURN server's relay, ours or the peer's.
	KindTURN = "turn"
	// KindLAN is an address on a LAN that both edges share.
	KindLAN = "lan"
)

// PingRequest is the question of POST /api/v1/ping.
type PingRequest struct {
	// Peer is a name, a hardware address, an overlay address or the beginning of
	// an identity.
	Peer string `json:"peer"`
	// Size is the length in bytes of a frame, Ethernet header included, that the
	// ping is to be as long as; 0 for 64.
	Size int `json:"size,omitempty"`
}

// Ping is what became of one ping to a peer, inside the session with it.
type Ping struct {
	// Name and ID are the peer's, as in Peer.
	Name string `json:"name"`
	ID   string `json:"id"`
	// Answered is whether an answer came within 5 s.
	Answered bool `json:"answered"`
	// PathStatus is the path that the answer came by, and its round trip; without
	// an answer, the path that frames take now, and PathNone when the ping could
	// not be sent.
	PathStatus
	// Size is the length in bytes of the frame that the ping was as long as.
	Size int `json:"size"`
	// Pieces is how many packets it went in, as a frame of that size does: 1
	// where the path takes it whole, 0 when it could not be sent.
	Pieces int `json:"pieces"`
}
