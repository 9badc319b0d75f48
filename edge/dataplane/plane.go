package dataplane

import (
	"sync/atomic"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/internal/handover"
	"hedgerow/protocol"
	"hedgerow/tap"
)

// Config is what a Plane is made of. Nothing of it changes while the edge runs.
type Config struct {
	Self        protocol.MAC      // the hardware address of our device
	Community   *crypto.Community // whose GROUP packets are received at first
	ClockOffset time.Duration     // added to the wall clock
	NoRelay     bool              // frames wait rather than pass a supernode
	InheritTOS  bool              // packets have the DSCP of the frames in them
	Bridge      bool              // hosts stand behind our device
	Storm       int               // what each host may flood, as bridge.NewStorm has it
	Started     time.Time         // the zero of the data path's clock: when the edge began
	Sockets     *bridge.Sockets   // tell our own datagrams in the frames of the device; nil: none
	Filter      bridge.Filter     // which frames are carried
	Stations    bridge.Size       // of the forwarding database; default: bridge.DefaultSize
	Gate        *bridge.Gate      // of an edge that is a bridge; nil: it is none
	Covers      *Covers           // hide STUN; nil: nothing is hidden
	Padding     Padding           // of packets with frames and control messages
	Transparent bool              // every question of ARP and neighbour discovery, and every frame to a group, goes to everybody
}

// Plane is what the queues and the control loop share. New sets its fields, and
// nobody sets them again; the atomics among them and what the others point to are
// safe for concurrent use.
type Plane struct {
	self  protocol.MAC
	mask  *crypto.Mask // between edges
	tag   uint32       // of the community, in GROUP headers
	clock clock

	table   atomic.Pointer[Table]
	groupRx *crypto.GroupReceiver
	fdb     *stations
	drops   Drops
	total   totals
	mailbox *mailbox
	guard   guard
	bounds  bounds
	gates   *handover.Gates // of the queues and links, and of others that send
}

// bounds are those of what is sent, how that looks outside, and of what is kept for frames in
// the making.
type bounds struct {
	covers      *Covers // nil: nothing is hidden
	padding     Padding
	pieces      protocol.ReassemblyPool // of all peers
	noRelay     bool                    // nothing passes a supernode
	dscp        bool                    // packets have that of the frames in them
	groupPacket atomic.Int64            // bytes of the largest GROUP packet that reaches everybody; 0: the usual size
}

// clock is the data path's: nanoseconds since the edge started, and the wall clock
// that belongs to them.
type clock struct {
	started time.Time
	offset  time.Duration
}

// New makes a data plane that knows nobody yet. It starts nothing.
func New(c Config) *Plane {
	d := &Plane{
		self: c.Self, mask: crypto.NewMask(c.Community.MaskKey()), tag: c.Community.Tag(),
		bounds: bounds{covers: c.Covers, padding: c.Padding, noRelay: c.NoRelay, dscp: c.InheritTOS}, clock: clock{started: c.Started, offset: c.ClockOffset}, fdb: newStations(c.Stations, c.Transparent), gates: handover.NewGates(),
	}
	d.groupRx = crypto.NewGroupReceiver(c.Community)
	d.mailbox = newMailbox(&d.drops)
	d.guard = newGuard(&c, d)
	d.table.Store(&Table{epochs: &[256]*crypto.Epoch{}})
	return d
}

// Gates returns what stops the queues for another process.
func (d *Plane) Gates() *handover.Gates { return d.gates }

// NoRelay reports whether frames wait rather than pass a supernode.
func (d *Plane) NoRelay() bool { return d.bounds.noRelay }

// Self returns the hardware address of our device.
func (d *Plane) Self() protocol.MAC { return d.self }

// Tag returns the community's tag, which GROUP headers carry (PROTOCOL.md,
// section 3).
func (d *Plane) Tag() uint32 { return d.tag }

// Mask returns the header mask of packets between edges.
func (d *Plane) Mask() *crypto.Mask { return d.mask }

// Started returns when the edge began, the zero of the data path's clock.
func (d *Plane) Started() time.Time { return d.clock.started }

// Since returns nanoseconds since the edge started, the data path's clock.
func (d *Plane) Since(now time.Time) int64 { return int64(now.Sub(d.clock.started)) }

// Wall returns the wall clock that belongs to now.
func (d *Plane) Wall(now time.Time) time.Time { return now.Add(d.clock.offset) }

// Groups returns the receiver of GROUP packets. The control loop vouches for
// salts there; the queues open packets.
func (d *Plane) Groups() *crypto.GroupReceiver { return d.groupRx }

// Drops returns the counters of what went no further.
func (d *Plane) Drops() *Drops { return &d.drops }

// Known returns the events that authenticated peers, supernodes and our own host
// have caused. The channel is bounded.
func (d *Plane) Known() <-chan Event { return d.mailbox.known }

// Strangers returns the events that anybody can cause. They have a bounded channel
// of their own, so that they cannot crowd out the others.
func (d *Plane) Strangers() <-chan Event { return d.mailbox.strangers }

// Post hands the control loop an event without blocking, from any goroutine. It
// reports whether there was room; if not, that is counted.
func (d *Plane) Post(ev Event) bool { return d.mailbox.post(ev) }

// ReportEpochs lets the next packet under another epoch than the one we send
// under be told again: the community has changed.
func (d *Plane) ReportEpochs() { d.mailbox.learned.Store(-1) }

// Stations returns the forwarding database.
func (d *Plane) Stations() *bridge.FDB[*Peer] { return d.fdb.FDB }

// PieceBytes returns how many bytes the pieces of frames take of the memory that all
// peers share, and how many they can.
func (d *Plane) PieceBytes() (count, most int) {
	return d.bounds.pieces.Taken(), protocol.ReassemblyShared
}

// Retire ends a Peer for good: its peer has another one, or is forgotten. The
// hosts behind it are unknown from now on, and the pieces of its frames are dropped.
func (d *Plane) Retire(p *Peer) {
	p.gone.Store(true)
	d.ForgetHosts(p)
	p.fragments.release()
}

// SweepEvery is how often Sweep is worth calling.
const SweepEvery = bridge.SweepEvery

// Sweep forgets the hosts and the salts that are past their age, and frees the
// memory that was for pieces of peers that send none.
func (d *Plane) Sweep(now time.Time) {
	d.fdb.Sweep(d.Since(now))
	d.guard.groups.Sweep(d.Since(now))
	if d.fdb.proxy != nil {
		d.fdb.proxy.Sweep(d.Since(now))
	}
	d.groupRx.Sweep(d.Wall(now))
	for _, p := range d.table.Load().statics.All() {
		p.fragments.expire(d.Since(now))
	}
}

// Join keeps a piece of a peer's inner, whose salt nobody had vouched for, and
// returns the inner that it completes. It is the caller's.
func (d *Plane) Join(now time.Time, p *Peer, run, ctr uint64, body []byte) (inner []byte, done bool) {
	p.fragments.mu.Lock()
	defer p.fragments.mu.Unlock()
	inner, _, done = p.fragments.add(d, p, d.Since(now), run, ctr, body, false)
	return clone(inner), done
}

// write hands frames to a device, if there are any. That the device refuses them is counted.
func (d *Plane) write(device FrameQueue, frames []tap.Frame) error {
	if len(frames) == 0 {
		return nil
	}
	_, err := device.WriteBatch(frames)
	if err != nil {
		d.drops.Drop(DropDeviceWrite)
	}
	return err
}

// SetGroupPacket sets the bytes of the largest GROUP packet that reaches
// everybody: a flood is sealed once for all.
func (d *Plane) SetGroupPacket(n int) { d.bounds.groupPacket.Store(int64(n)) }

// GroupPacket returns the bytes of the largest GROUP packet that reaches
// everybody.
func (d *Plane) GroupPacket() int {
	if n := d.bounds.groupPacket.Load(); n > 0 {
		return int(n)
	}
	return MaxDatagramRelayed - protocol.RelayOverhead
}

// totals counts the frames between the device and all peers, and what was done
// to those that are too long for a path.
type totals struct {
	rxFrames, rxBytes, txFrames, txBytes atomic.Uint64

	cut     atomic.Uint64 // frames that left in pieces
	pieces  atomic.Uint64 // that they became
	joined  atomic.Uint64 // frames that came in pieces
	clamped atomic.Uint64 // SYNs whose MSS was lowered
	unknown atomic.Uint64 // frames that were flooded because nobody knew the station
}

// Totals are the frames between the device and all peers since the start, and
// what was done to those that are too long for a path.
type Totals struct {
	RxFrames, RxBytes uint64 // delivered to the device
	TxFrames, TxBytes uint64 // taken from the device

	Cut     uint64 // frames that left in pieces
	Pieces  uint64 // what they became
	Joined  uint64 // frames that came in pieces
	Clamped uint64 // SYNs whose MSS was lowered
	Unknown uint64 // frames that were flooded because nobody knew the station
}

// Totals returns the counters of frames. They may be read at any time.
func (d *Plane) Totals() Totals {
	t := &d.total
	return Totals{
		RxFrames: t.rxFrames.Load(), RxBytes: t.rxBytes.Load(), TxFrames: t.txFrames.Load(), TxBytes: t.txBytes.Load(),
		Cut: t.cut.Load(), Pieces: t.pieces.Load(), Joined: t.joined.Load(), Clamped: t.clamped.Load(), Unknown: t.unknown.Load(),
	}
}
