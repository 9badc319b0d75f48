package supernode

import "hedgerow/protocol"

// listLen is how many members a QUERY for no one in particular gets.
const listLen = 64

// members serve the members of a community: whom they ask about, whom they want to
// punch with, and whom their floods shall leave out.
type members struct {
	registry  *registry
	allowance *allowance
	sender    *controlSender
}

// handleQuery answers a member with the PEER_INFO of another one, or of a list of them. It
// does not answer for a member that is unknown or has no session: the edge's frame goes out
// as GROUP meanwhile, and it asks again.
func (m *members) handleQuery(x *exchange, value []byte) {
	q, err := protocol.ParseQuery(value)
	if err != nil {
		x.refuse(dropQuery)
		return
	}
	cost := queryCost
	if q.Handle == 0 && q.MAC.IsZero() {
		cost = listCost
	}
	if !x.affords(float64(cost)) {
		x.refuse(dropControlRate)
		return
	}
	r := x.hop.reg
	switch {
	case q.Handle != 0:
		m.addPeer(x, m.registry.member(r.community, q.Handle))
	case !q.MAC.IsZero():
		m.addPeer(x, r.community.byMAC[q.MAC])
	case m.allowance.list(x.now, x.hop):
		for _, peer := range r.community.list(r, x.hop.others.lists, listLen) {
			m.addPeer(x, peer)
		}
		x.hop.others.lists++
	default:
		x.refuse(dropListRate)
	}
}

// addPeer answers with the PEER_INFO of a member that has a session.
func (m *members) addPeer(x *exchange, peer *registration) {
	if peer == nil || peer.place < 0 || peer == x.hop.reg {
		x.refuse(dropQueryUnknown)
		return
	}
	info := peer.peerInfo(x.now)
	x.add(&info)
}
