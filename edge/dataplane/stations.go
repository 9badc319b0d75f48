package dataplane

import (
	"sync/atomic"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// stations is the forwarding database, and whether the control loop knows that there
// is something to do in it.
type stations struct {
	*bridge.FDB[*Peer]
	told atomic.Bool
}

func newStations(size bridge.Size) *stations {
	if size == (bridge.Size{}) {
		size = bridge.DefaultSize
	}
	return &stations{FDB: bridge.New[*Peer](size)}
}

// wake tells the control loop that something is due, once until it has asked what.
func (s *stations) wake(m *mailbox) {
	if s.told.CompareAndSwap(false, true) && !m.post(StationsDue{}) {
		s.told.Store(false)
	}
}

// StationsDue returns what is to be asked about stations now, and when there is
// something to do again, 0 for never.
func (d *Plane) StationsDue(now int64) (list []bridge.Question[*Peer], next int64) {
	d.fdb.told.Store(false)
	return d.fdb.Due(now)
}

// Askable reports whether the peer answers questions about stations.
func (p *Peer) Askable() bool { return p.features.Load()&protocol.FeatureHosts != 0 }

// admitStation learns that a station is behind a peer. It reports whether its frame
// is delivered.
func (d *Plane) admitStation(now int64, p *Peer, frame *bridge.Parsed) bool {
	v := d.fdb.Learn(now, frame.Source(), p)
	if v.Wake {
		d.fdb.wake(d.mailbox)
	}
	if v.Drop {
		d.drops.Drop(DropStationHere)
	}
	return !v.Drop
}

// hearStation notes a frame of a station on our own side.
func (o *outbound) hearStation(now int64, frame *bridge.Parsed) {
	if key := frame.Source(); !key.MAC.IsGroup() && o.fdb.Local(now, key, frame.SenderIP()).Wake {
		o.fdb.wake(o.mailbox)
	}
}

// findStation returns the peer that a station is behind. With none the frame is
// flooded, unless the station is on our own side and done says so: then our LAN has
// carried the frame already (IEEE 802.1Q, section 8.6.1).
func (o *outbound) findStation(now int64, key bridge.Key) (p *Peer, done bool) {
	p, at := o.fdb.Lookup(now, key)
	if at == bridge.Silent && o.fdb.Doubt(now, key) {
		o.fdb.wake(o.mailbox)
	}
	if done = at == bridge.Here || key.MAC == o.self; done {
		o.drops.Drop(DropDestinationHere)
	} else if p == nil {
		o.total.unknown.Add(1)
	}
	return p, done
}
