package adversary

import (
	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Supernode is the supernode's end of hop sessions with one edge.
type Supernode struct {
	hop
	// Resp is what its RESPs say.
	Resp protocol.RespPayload
}

// NewSupernode returns a supernode without a session.
func NewSupernode(in Surroundings, id *crypto.Identity) *Supernode {
	return &Supernode{
		hop:  newHop(in, id, id.Static),
		Resp: protocol.RespPayload{Version: protocol.Version, MTU: protocol.MaxDatagram},
	}
}

// Handle takes a packet of the edge. An INIT begins another session.
func (s *Supernode) Handle(pkt []byte) (got Heard, err error) {
	if !s.mask.Show(s.scratch, pkt) {
		return got, nil // a question of STUN
	}
	if got.Header, err = protocol.ParseHeader(pkt); err != nil || got.Header.XF != protocol.XFHop {
		return got, nil
	}
	if got.Header.Type != protocol.TypeInit {
		s.open(&got, pkt)
		return got, nil
	}
	reply, err := crypto.ReadInit(crypto.HandshakeConfig{Hop: true, Local: s.Identity, Rand: s.Rand}, pkt)
	if err != nil {
		return got, nil // of nobody that we know
	}
	index := got.Header.RX ^ 0x5a5a5a5a
	var plain [protocol.RespPayloadLen]byte
	s.Resp.Put(&plain)
	var hdr [protocol.HeaderLen]byte
	protocol.Header{
		Type: protocol.TypeResp, XF: protocol.XFHop, KI: protocol.KINone, RX: got.Header.RX, CTR: uint64(index) << 32,
	}.Put(hdr[:])
	resp, keys, err := reply.Write(hdr, plain)
	if err != nil {
		return got, err
	}
	if err := s.begin(keys, index, got.Header.RX, reply.Remote, false); err != nil {
		return got, err
	}
	got.Reply, got.Began = s.hide(resp), true
	return got, nil
}
