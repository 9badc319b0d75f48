package edge

import (
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/nat/trains"
	"hedgerow/protocol"
)

const (
	// trainTimeout is the shortest time that answers to the pings of a train are waited
	// for.
	trainTimeout = 300 * time.Millisecond
	// trainUse is how many bytes of frames have to go to a peer between two checks.
	trainUse = 8 << 10
)

// pollTrains sends the pings that tell whether the direct path of a peer carries trains,
// and tells the user once when it does not, or does again.
func (r *routing) pollTrains(now time.Time, p *peer) {
	t, route := &p.reach.quality.trains, p.view.Route()
	if p.reach.path == nil || route.Session == nil || !route.Direct.IsValid() || underlay.IsSide(route.Direct) {
		t.Pause()
		return
	}
	_, sent := p.view.Bytes()
	before, checking := t.Ended(), !t.Deadline().IsZero()
	ask := t.Poll(now, max(trainTimeout, 3*p.reach.path.Route().RTT), sent-t.used >= trainUse && r.peers.active(now, p))
	if checking && t.Deadline().IsZero() {
		t.used = sent
	}
	if ask != trains.None {
		r.sendTrain(p, &route, ask == trains.Train)
	}
	switch {
	case before == t.Ended():
	case t.Ended():
		r.log.Warn("packets that leave many at a time are lost on the way to a peer, those that leave alone arrive: all leave alone from now on, which is slower. "+
			"A driver, a virtual machine or a tunnel at one of the ends does that; --offload gso=off here, or gro=off there, does without from the start", "peer", p)
	default:
		r.log.Info("packets that leave many at a time arrive at a peer again", "peer", p)
	}
}

// sendTrain sends full pings over the direct path, as one train or one by one.
func (r *routing) sendTrain(p *peer, route *dataplane.Route, train bool) {
	t := &p.reach.quality.trains
	t.nonce, t.waits = r.random.nonce(), 1<<trains.Count-1
	t.nonce[7] = 0
	build := func(b []byte, number int) []byte {
		m := protocol.Ping{Nonce: t.nonce, Pad: max(protocol.MinPingPad, route.Limit-protocol.PingDatagramLen)}
		m.Nonce[7] = byte(number)
		return m.Append(b)
	}
	direct := dataplane.Route{Direct: route.Direct, Local: route.Local}
	if train {
		r.pairs.sendTrain(p, &direct, trains.Count, build)
		return
	}
	for i := range trains.Count {
		r.pairs.sendBy(p, &direct, 0, func(b []byte) []byte { return build(b, i) })
	}
}
