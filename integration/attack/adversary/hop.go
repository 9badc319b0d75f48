package adversary

import (
	"hedgerow/crypto"
	"hedgerow/protocol"
)

// hop is what both ends of a hop session have in common.
type hop struct {
	Surroundings
	mask    *crypto.Mask
	scratch *crypto.Scratch
	work    []byte

	server   bool // this is the supernode's end, whose RELAY packets are veiled
	Identity *crypto.Identity
	Session  *crypto.HopSession // nil: none yet
}

func newHop(in Surroundings, id *crypto.Identity, supernode [32]byte) hop {
	return hop{
		Surroundings: in, mask: crypto.NewMask(crypto.SupernodeMaskKey(supernode, nil)), scratch: crypto.NewScratch(),
		work: make([]byte, 0, 4096), server: id.Static == supernode, Identity: id,
	}
}

func (h *hop) hide(pkt []byte) []byte {
	h.mask.Hide(h.scratch, pkt)
	return pkt
}

// begin makes the session of a handshake.
func (h *hop) begin(keys crypto.SplitKeys, local, remote uint32, static [32]byte, initiator bool) (err error) {
	h.Session, err = crypto.NewHopSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: local, Remote: remote, Static: static, Created: h.Now(), Initiator: initiator,
	})
	return err
}

// open takes DATA and RELAY packets of the session.
func (h *hop) open(got *Heard, pkt []byte) {
	if h.Session == nil || got.Header.RX != h.Session.LocalIndex() {
		return
	}
	switch got.Header.Type {
	case protocol.TypeData:
		if inner, err := h.Session.Open(h.scratch, pkt); err == nil {
			got.Inner = inner
		}
	case protocol.TypeRelay:
		if packet, err := h.Session.OpenRelay(h.scratch, pkt); err == nil {
			if !h.server {
				h.mask.Veil(h.scratch, pkt)
			}
			got.Packet = packet
			got.Handle, _ = protocol.SplitRelayCTR(got.Header.CTR)
		}
	}
}

// Say returns a packet of control messages.
func (h *hop) Say(messages ...Message) ([]byte, error) { return h.seal(control(h.work, messages)) }

// SayInner returns a packet with an inner of any bytes.
func (h *hop) SayInner(inner []byte) ([]byte, error) {
	return h.seal(append(h.work[:protocol.HeaderLen], inner...))
}

func (h *hop) seal(pkt []byte) ([]byte, error) {
	if h.Session == nil {
		return nil, errNoSession
	}
	ctr, err := h.Session.Reserve(1)
	if err != nil {
		return nil, err
	}
	protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: h.Session.RemoteIndex(), CTR: ctr}.Put(pkt)
	return h.hide(h.Session.Seal(h.scratch, pkt)), nil
}

// Relay returns a RELAY packet around a packet, which is sealed and masked for
// itself. handle is the source's from a supernode, the destination's from an edge.
func (h *hop) Relay(handle uint32, flags protocol.Flags, packet []byte) ([]byte, error) {
	switch n := len(packet); {
	case h.Session == nil:
		return nil, errNoSession
	case n < protocol.HeaderLen+protocol.TagLen, n > protocol.MaxDatagram-protocol.RelayOverhead:
		return nil, errLength
	}
	counter, err := h.Session.ReserveRelay()
	if err != nil {
		return nil, err
	}
	pkt := append(h.work[:protocol.RelayOverhead], packet...)
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone, Flags: flags, RX: h.Session.RemoteIndex(), CTR: protocol.RelayCTR(handle, counter),
	}.Put(pkt)
	if h.server {
		h.mask.Veil(h.scratch, pkt)
	}
	h.Session.SealRelay(h.scratch, pkt)
	return h.hide(pkt), nil
}

// Packet returns a packet of a header and any bytes behind it, masked as if it were a
// right one.
func (h *hop) Packet(head protocol.Header, rest []byte) []byte {
	pkt := append(h.work[:protocol.HeaderLen], rest...)
	head.Put(pkt)
	return h.hide(pkt)
}
