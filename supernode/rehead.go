package supernode

import (
	"hedgerow/crypto"
	"hedgerow/protocol"
)

// rehead gives a relayed packet the header, the veil and the hop tag of its receiver.
// pkt has room for header and tag in front. It reports false, after dropping the packet,
// when the session is worn.
func (r *relayer) rehead(out *outbox, pkt []byte, handle uint32, flags protocol.Flags, to *crypto.HopSession) bool {
	counter, err := to.ReserveRelay()
	if err != nil {
		r.refused.drop(dropSessionWorn)
		return false
	}
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone, Flags: flags,
		RX: to.RemoteIndex(), CTR: protocol.RelayCTR(handle, counter),
	}.Put(pkt)
	out.mask.Veil(out.sc, pkt)
	to.SealRelay(out.sc, pkt)
	return true
}
