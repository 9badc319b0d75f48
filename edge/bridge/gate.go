package bridge

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// What becomes of a probe that is not taken. Each is counted by whoever asked.
var (
	// ErrProbeForeign: it is of another community, by no member, or no probe of ours.
	ErrProbeForeign = errors.New("bridge: a probe of no member")
	// ErrProbeOwn: it is our own, which came back.
	ErrProbeOwn = errors.New("bridge: a probe of our own")
	// ErrProbeOld: it is not newer than the last one of its sender.
	ErrProbeOld = errors.New("bridge: a probe that was there before")
	// ErrProbeCopy: it is the last one of its sender, in another VLAN.
	ErrProbeCopy = errors.New("bridge: a copy of a probe")
	// ErrProbeRate: there are more than are looked at.
	ErrProbeRate = errors.New("bridge: more probes than are looked at")
)

// Bounds of the probes that are looked at, since the signature of each costs as much as
// a handshake: of each bridge that is known on the segment, and of all others together.
const (
	probeEvery = int64(time.Second / 20)
	probeBurst = 20 * probeEvery
)

// bpduGroup is where spanning tree BPDUs go (IEEE 802.1Q, table 8-1).
var bpduGroup = protocol.MAC{0x01, 0x80, 0xc2}

// Gate is what the queues of a bridge ask: whether frames pass, and whether a probe is
// worth being told of. It is safe for several goroutines, and allocates nothing for a
// frame that is no probe.
type Gate struct {
	self    [32]byte // our identity
	tag     uint32
	carries bool // BPDUs pass

	open     atomic.Bool
	reflects atomic.Int64 // when a probe of our own came back last; 0: never
	changed  atomic.Int64 // when somebody was last told that the topology changed; 0: never
	keys     atomic.Pointer[[256]*[32]byte]

	tags Tags

	mu     sync.Mutex
	known  map[[32]byte]*position // bridges whose probes have verified, at most maxNeighbours
	others position               // of all others; without a number
}

// position is how far the probes of one bridge have come.
type position struct {
	boot uint64
	seq  uint32
	paid int64    // until when its probes are paid for
	last [16]byte // MAC of the last one: what has it too is a copy, since the MAC is over all of a probe

	plain  int64 // when one came without a tag, 0 for never
	tagged int64 // when one came with a tag
	tag    Tag
}

// note notes with what tag a probe has come.
func (a *position) note(now int64, frame protocol.Frame) {
	if tag, ok := TagOf(frame); ok {
		a.tag, a.tagged = tag, max(now, 1)
	} else {
		a.plain = max(now, 1)
	}
}

// NewGate returns a gate that is closed, of the bridge with an identity in the community
// with a tag. carriesBPDUs says whether spanning tree BPDUs pass.
func NewGate(self [32]byte, tag uint32, carriesBPDUs bool) *Gate {
	g := &Gate{self: self, tag: tag, carries: carriesBPDUs, known: make(map[[32]byte]*position)}
	g.keys.Store(new([256]*[32]byte))
	return g
}

// Open reports whether frames pass between the device and the other members.
func (g *Gate) Open() bool { return g.open.Load() }

// Set opens or closes the gate.
func (g *Gate) Set(open bool) { g.open.Store(open) }

// SetKeys sets the crypto.ProbeKey of the epochs that are received under, by key index.
func (g *Gate) SetKeys(keys *[256]*[32]byte) { g.keys.Store(keys) }

// Reflected returns when a probe of our own came back last, 0 for never.
func (g *Gate) Reflected() int64 { return g.reflects.Load() }

// Hear looks at a frame that came from the device and goes where probes go. It returns
// nil if the frame is a probe by a member and newer than the sender's last: then whoever
// owns the Forwarder verifies its signature. now is in nanoseconds of any clock.
func (g *Gate) Hear(now int64, frame protocol.Frame) error {
	p, err := protocol.ParseProbe(frame)
	if err != nil || p.Tag != g.tag {
		return ErrProbeForeign
	}
	if p.Rank.ID == g.self {
		g.reflects.Store(max(now, 1))
		return ErrProbeOwn
	}
	key := g.keys.Load()[p.KI]
	if key == nil || !crypto.ProbeAuthentic(*key, protocol.ProbeBody(frame)[:protocol.ProbeSealed], p.MAC) {
		return ErrProbeForeign
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.known[p.Rank.ID]
	if at == nil {
		at = &g.others
	}
	if p.MAC == at.last {
		at.note(now, frame)
		return ErrProbeCopy
	}
	if at != &g.others && !at.before(&p) {
		return ErrProbeOld
	}
	if next := max(at.paid, now) + probeEvery; next <= now+probeBurst {
		at.paid, at.last = next, p.MAC
		at.note(now, frame)
		return nil
	}
	return ErrProbeRate
}

// Tags returns the VLAN tags in which probes are sent.
func (g *Gate) Tags() *Tags { return &g.tags }

// Meets returns the VLAN in which the probes of another bridge come, if none of them has
// come without a tag for the last few.
func (g *Gate) Meets(now int64, id [32]byte) (vlan uint16, alone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.known[id]
	if at == nil || at.tagged == 0 || now-at.tagged > int64(silentAfter) || at.plain != 0 && now-at.plain <= 4*int64(silentAfter) {
		return 0, false
	}
	return at.tag.VLAN, true
}

// before reports whether a probe comes behind a position.
func (a *position) before(p *protocol.Probe) bool {
	return p.Boot > a.boot || p.Boot == a.boot && p.Seq > a.seq
}

// Verified notes a probe whose signature was verified, and reports whether it is newer
// than the one before. What is known of others is forgotten if there are too many.
func (g *Gate) Verified(p *protocol.Probe) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.known[p.Rank.ID]
	if at == nil {
		if len(g.known) >= 4*maxNeighbours {
			clear(g.known)
		}
		at = new(position)
		g.known[p.Rank.ID] = at
	} else if !at.before(p) {
		return false
	}
	at.boot, at.seq, at.last = p.Boot, p.Seq, p.MAC
	return true
}

// Carries reports whether a frame passes as far as its destination says: spanning tree
// BPDUs do if the bridge carries them, and it is told that the topology changed if one of
// them says so (IEEE 802.1Q, sections 9.3 and 17.21).
func (g *Gate) Carries(frame protocol.Frame) (passes, topologyChange bool) {
	if frame.Dst() != bpduGroup {
		return true, false
	}
	return g.carries, g.carries && topologyChanges(frame[protocol.EthernetLen:])
}

// TellTopology reports whether somebody is to be told that the topology has changed: once
// a second at most.
func (g *Gate) TellTopology(now int64) bool {
	now = max(now, 1)
	last := g.changed.Load()
	return (last == 0 || now-last >= int64(time.Second)) && g.changed.CompareAndSwap(last, now)
}

// Types and flags of BPDUs (IEEE 802.1Q, section 14).
const (
	bpduConfig         = 0x00
	bpduRapid          = 0x02
	bpduTopologyChange = 0x80
	bpduFlagChange     = 1
)

// topologyChanges reports whether a BPDU, with the LLC header before it, says that the
// topology has changed.
func topologyChanges(b []byte) bool {
	const llc, kind, flags = "\x42\x42\x03", 6, 7
	if len(b) <= kind || string(b[:len(llc)]) != llc {
		return false
	}
	switch b[kind] {
	case bpduTopologyChange:
		return true
	case bpduConfig, bpduRapid:
		return len(b) > flags && b[flags]&bpduFlagChange != 0
	}
	return false
}
