package supernode

import (
	"hedgerow/crypto"
	"hedgerow/protocol"
)

// rehead gives a relayed packet the header, the veil and the hop tag of its receiver.
// pkt has room for header and tag in front. It reports false, after dropping the packet,
// when the session is worn.
func (r *relayer) rehead(out *outbox, pkt []byte, handle uint32, flags protocol.Flags, session *crypto.HopSession, to *us) bool {
	counter, err := session.ReserveRelay()
	if err != nil {
		r.refused.drop(dropSessionWorn)
		return false
	}
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone, Flags: flags,
		RX: session.RemoteIndex(), CTR: protocol.RelayCTR(handle, counter),
	}.Put(pkt)
	to.key.mask.Veil(out.sc, pkt)
	session.SealRelay(out.sc, pkt)
	return true
}
