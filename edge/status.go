package edge

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/nat/address"
	"hedgerow/tap"
	"hedgerow/transport"
)

// Status returns the state of the edge.
func (e *Edge) Status(ctx context.Context) (control.Status, error) { return ask(ctx, e, e.status) }

// Peers returns the other edges that are known, by name.
func (e *Edge) Peers(ctx context.Context) ([]control.Peer, error) {
	return ask(ctx, e, e.user.describer.list)
}

// KeyStatus returns the state of the key schedule.
func (e *Edge) KeyStatus(ctx context.Context) (control.Keys, error) {
	return ask(ctx, e, func(now time.Time) control.Keys {
		return KeyStatus(e.keys.community, e.keys.schedule, e.data.plane.Wall(now))
	})
}

// Reload reads the community again from its source and uses it.
func (e *Edge) Reload(ctx context.Context) error {
	if e.cfg.Keys == nil {
		return nil
	}
	c, err := e.cfg.Keys.Load(ctx)
	refused, err := ask(ctx, e, func(now time.Time) error { return e.replaceKeys(now, c, err) })
	return errors.Join(refused, err)
}

func (e *Edge) status(now time.Time) control.Status {
	total := e.data.plane.Totals()
	s := control.Status{
		Community: e.cfg.Community.Name, Version: e.cfg.Host.Version, ID: e.cfg.Identity.ShortID(),
		UptimeS: now.Sub(e.data.plane.Started()).Seconds(), KeyIndex: e.keys.sendingIndex(), Drops: e.drops(), Notes: notesOf(e, now),
		Device: e.cfg.Host.Interface, MAC: e.self.mac.String(), MTU: mtuOf(&e.cfg), Prefixes: []string{},
		Traffic: control.Traffic{InFrames: total.RxFrames, InBytes: total.RxBytes, OutFrames: total.TxFrames, OutBytes: total.TxBytes},
		Peers:   e.user.describer.count(now),
		Ethernet: control.EthernetStatus{
			Role: e.self.isolation.role(e.self.isolation.own), Bridge: deviceOf(&e.cfg).Bridge, Segment: e.paths.segment.status(now),
		},
	}
	for _, p := range byAddress(e.servers.addresses.prefixes) {
		s.Prefixes = append(s.Prefixes, p.String())
	}
	if m := e.underlay.Addresses.Mapping(); m != address.MappingUnknown {
		s.Mapping = m.String()
	}
	if p := e.cfg.Transports.NAT64.Prefix(); p.IsValid() {
		s.Mapping = strings.TrimPrefix(s.Mapping+", NAT64 "+p.String(), ", ")
	}
	for _, n := range e.servers.list {
		if !n.dormant() {
			st := n.status(e.underlay.Lifetime)
			st.Role = e.servers.list.role(n)
			s.Supernodes = append(s.Supernodes, st)
		}
	}
	return s
}

// deviceOf returns what became of the device, nothing where that is not known.
func deviceOf(cfg *Config) tap.Condition {
	if cfg.Host.Own.Device == nil {
		return tap.Condition{}
	}
	c := cfg.Host.Own.Device()
	if c.MTU == 0 { // it was not looked at yet
		return tap.Condition{}
	}
	return c
}

// mtuOf returns the MTU of the device.
func mtuOf(cfg *Config) int { return cmp.Or(deviceOf(cfg).MTU, cfg.Ethernet.MTU) }

// drops returns the counters of what went no further, in the data plane and in the
// control loop.
func (e *Edge) drops() map[string]uint64 {
	return e.user.refusals.addTo(e.data.plane.Drops().Counts())
}

// Counters returns what the data path has done since the start. It does not ask the control loop:
// every counter may be read at any time.
func (e *Edge) Counters(context.Context) (control.Counters, error) {
	total := e.data.plane.Totals()
	v := control.Counters{Queues: []control.QueueCounters{}, Drops: e.drops()}
	v.Long = control.LongCounters{Cut: total.Cut, Pieces: total.Pieces, Joined: total.Joined, Clamped: total.Clamped}
	for _, q := range e.cfg.Queues {
		v.Queues = append(v.Queues, queueCounters(q))
	}
	return v, nil
}

// queueCounters returns what one queue has done.
func queueCounters(q dataplane.Queue) control.QueueCounters {
	c := control.QueueCounters{Sleeps: q.Waiter.Sleeps()}
	if f, ok := q.Frames.(interface{ Counters() tap.Counters }); ok {
		n := f.Counters()
		c.Frames = &control.FrameCounters{
			Reads: n.Reads, Writes: n.Writes, In: n.FramesIn, Out: n.FramesOut, SuperIn: n.SuperIn, SuperOut: n.SuperOut,
		}
	}
	if s, ok := q.Conn.(interface{ Counters() transport.Counters }); ok {
		n := s.Counters()
		c.Datagrams = &control.DatagramCounters{
			Reads: n.Reads, Writes: n.Writes, In: n.Datagrams, Out: n.DatagramsOut, TrainsIn: n.Trains, TrainsOut: n.TrainsOut,
			GSORefused: n.GSORefused, Waits: n.Waits, Dropped: n.Dropped,
		}
	}
	return c
}

// Ceiling is how full one of the edge's bounded tables is (PROTOCOL.md,
// section 6).
type Ceiling struct {
	Table string // what it holds
	Count int    // entries now
	Max   int    // entries at most
}

// Ceilings returns how full every table that others can fill is.
func (e *Edge) Ceilings(ctx context.Context) ([]Ceiling, error) {
	return ask(ctx, e, func(time.Time) []Ceiling {
		senders, salts := e.data.plane.Groups().Count()
		maxSenders, maxSalts := e.data.plane.Groups().Bounds()
		hosts, maxHosts := e.data.plane.Stations().Len()
		histories, claims, polls := e.data.plane.Stations().Bounds()
		pieces, maxPieces := e.data.plane.PieceBytes()
		addresses, maxAddresses := e.data.plane.Proxy().Len()
		list := []Ceiling{
			{"peers", len(e.peers.byStatic), maxPeers + maxUnconfirmed},
			{"unconfirmed peers", len(e.peers.half), maxUnconfirmed},
			{"views", len(e.peers.byView), 2 * (maxPeers + maxUnconfirmed)},
			{"hardware addresses", len(e.peers.byMAC), maxPeers},
			{"handshakes", len(e.sessions.pending), maxPeers},
			{"frames for peers", len(e.sessions.staged.frames), stagedMax},
			{"frames of strangers", len(e.sessions.unvouched.waiting), unvouchedMax},
			{"hosts", hosts, maxHosts},
			{"overlay addresses", len(e.data.guard.holders), (maxSupernodes + 1) * maxPeers},
			{"violations", len(e.data.guard.violations.list), violationsMax},
			{"networks behind others", e.paths.subnets.kept[0], maxAccepted},
			{"networks that are not accepted", e.paths.subnets.kept[1], maxShown},
			{"hosts that moved", histories[0], histories[1]},
			{"hosts asked about", claims[0], claims[1]},
			{"hosts asked for", polls[0], polls[1]},
			{"addresses of hosts", addresses, maxAddresses},
			{"wanted", len(e.servers.directory.wanted), wantedMax},
			{"pins", len(e.state.saved.Pins), maxPins},
			{"group senders", senders, maxSenders},
			{"group salts", salts, maxSalts},
			{"shared bytes for pieces", pieces, maxPieces},
			{"sessions", e.data.draft.SessionCount(), 3 * len(e.peers.byStatic)},
			{"hop sessions", e.data.draft.HopCount(), 2 * len(e.servers.list)},
		}
		for i := range e.servers.list {
			list = append(list, Ceiling{"handles", len(e.peers.byHandle[i]), maxPeers})
		}
		return list
	})
}
