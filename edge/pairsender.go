package edge

import (
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// pairSender sends control messages to peers, inside their sessions. What it
// sends gathers in the control loop's sender until the loop has settled.
type pairSender struct {
	out *dataplane.Sender
}

// send sends control messages to a peer by the route that its frames take. build
// appends the messages.
func (s pairSender) send(p *peer, build func([]byte) []byte) {
	r := p.view.Route()
	s.sendBy(p, &r, 0, build)
}

// sendBy sends control messages to a peer by any route, with a TTL of their own
// if that is not 0.
func (s pairSender) sendBy(p *peer, r *dataplane.Route, ttl uint8, build func([]byte) []byte) {
	if session := p.sessions.sealing(); session != nil {
		s.out.SealControl(session, r, ttl, build)
	}
}

// sendTrain sends packets of one length to a peer by any route, as one train.
func (s pairSender) sendTrain(p *peer, r *dataplane.Route, count int, build func(b []byte, number int) []byte) {
	if session := p.sessions.sealing(); session != nil {
		s.out.SealTrain(session, r, count, build)
	}
}

// sendFragmented sends control messages to a peer by any route, in pieces if
// they are longer than limit bytes together. It returns how many packets they
// became.
func (s pairSender) sendFragmented(p *peer, r dataplane.Route, limit int, build func([]byte) []byte) int {
	if r.Session = p.sessions.sealing(); r.Session == nil {
		return 0
	}
	inner := build(protocol.AppendControl(nil))
	if len(inner) <= limit {
		return s.out.SealOne(r.Session, &r, 0, inner)
	}
	return s.out.SealPieces(&r, inner, limit)
}

// seal seals control messages as one packet for a peer that is not sent yet. It
// returns nil when there is no session to seal under.
func (s pairSender) seal(p *peer, build func([]byte) []byte) []byte {
	session := p.sessions.sealing()
	if session == nil {
		return nil
	}
	return s.out.SealAlone(session, build)
}
