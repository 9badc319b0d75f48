package dataplane

import (
	"net"
	"sync/atomic"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/tap/offload"
)

// Link is a line between our host and a peer's, beside the community's Ethernet: what
// the host sends on the link's device goes to that peer alone, and what comes from the
// far end goes to that device alone. Nothing is flooded, nothing is learned.
//
// Frames of a link travel inside the pair session as others do. They are known by their
// source, the hardware address of the sender's end: both addresses follow from the two
// identities, so that each edge knows both, also where it has no device for the link.
type Link struct {
	device FrameQueue // nil: we have no device for the peer
	near   protocol.MAC
	far    protocol.MAC
	peer   atomic.Pointer[Peer] // whose link it is now; nil: nobody's yet
	missed atomic.Uint64        // frames that came although there is no device
}

// NewLink returns a link that is nobody's yet, with the hardware addresses of our end and
// of the peer's. Without a device it drops and counts what the peer sends on its own.
func NewLink(device FrameQueue, near, far protocol.MAC) *Link {
	return &Link{device: device, near: near, far: far}
}

// Missed returns how many frames came on a link that has no device here.
func (l *Link) Missed() uint64 { return l.missed.Load() }

// SetLink gives a peer its link, or takes it away (nil). The link is that peer's until it
// is given to another one.
func (p *Peer) SetLink(l *Link) {
	if l != nil {
		l.peer.Store(p)
	}
	if old := p.link.Swap(l); old != nil && old != l {
		old.peer.CompareAndSwap(p, nil)
	}
}

// Link returns the peer's link, nil if it has none.
func (p *Peer) Link() *Link { return p.link.Load() }

// LinkServer serves the links of an edge. Their buffers are those of whoever needs them:
// there may be hundreds of links, and few of them are busy at once.
type LinkServer struct {
	plane *Plane
	conn  Conn
	idle  chan *outbound
}

// idleMost is how many buffers wait to be used again: as many links as are busy at once on
// most machines.
const idleMost = 16

// NewLinkServer returns one that sends by a socket, which another queue reads.
func NewLinkServer(d *Plane, conn Conn) *LinkServer {
	return &LinkServer{plane: d, conn: conn, idle: make(chan *outbound, idleMost)}
}

// Serve carries frames from a link's device to the link's peer, on the calling goroutine,
// until the waiter is stopped or the device fails.
func (s *LinkServer) Serve(l *Link, w Waiter) error {
	for {
		n, err := s.read(l)
		if err != nil {
			return unlessClosed(err)
		}
		if n > 0 {
			continue
		}
		if err := w.Wait(); err != nil {
			return unlessClosed(err)
		}
	}
}

// read sends a burst of frames of a link's device, as queue.burst does.
func (s *LinkServer) read(l *Link) (n int, err error) {
	if !s.plane.gates.Queue().Enter() {
		return 0, net.ErrClosed
	}
	defer s.plane.gates.Queue().Leave()
	var o *outbound
	select {
	case o = <-s.idle:
		o.device = l.device
	default:
		o = newOutbound(s.plane, l.device, s.conn)
	}
	n, err = o.readBurst(l)
	select {
	case s.idle <- o:
	default:
	}
	return n, err
}

// sendOnLink seals a frame or super-frame of a link's device for the link's peer. What
// cannot be sent at once is dropped, as on any line that is down: whoever has a line of
// its own to a neighbour wants to know that it is down, and not frames of ten seconds ago.
func (o *outbound) sendOnLink(l *Link, now int64, f *tap.Frame) {
	var frame bridge.Parsed
	if !frame.Parse(f.Bytes()) {
		o.drops.Drop(DropFrameInvalid)
		return
	}
	if by, to := o.guard.sockets.Sent(l.near, &frame); by != bridge.Another && o.recursed(now, by, to) {
		return
	}
	if !o.guard.carries(&frame) {
		return
	}
	if frame.Src() != l.near {
		o.drops.Drop(DropLinkSource)
		return
	}
	p := l.peer.Load()
	if p == nil {
		o.drops.Drop(DropNoPath)
		return
	}
	if t := o.table.Load(); t.closed && !p.may(bridge.Exchange) {
		o.drops.Drop(t.apart())
		return
	}
	r := p.route.Load()
	if o.tally.peer != p {
		p.touch(now, o.mailbox)
	}
	if r.Session == nil || !r.Direct.IsValid() && (o.bounds.noRelay || r.Supernode == nil) {
		o.drops.Drop(DropNoPath)
		return
	}
	if f.Offload.GSOType == offload.GSONone && offload.IsSYN(f.Bytes()) {
		o.clamp(r, f.Bytes(), f.Offload, false)
	}
	o.sealUnicast(p, r, f, false)
}

// endsAt reports whether a source address is that of the peer's end of a link.
func (p *Peer) endsAt(src protocol.MAC) bool {
	l := p.link.Load()
	return l != nil && src == l.far
}

// takeLink delivers the frame b[off:off+n] of a peer to the link's device. Its source is
// the far end of the link. Only what the peer sealed in the pair session is the link's:
// GROUP packets can be made by every member.
func (in *inbound) takeLink(l *Link, p *Peer, b []byte, off, n int, h offload.Header) {
	if l.device == nil {
		l.missed.Add(1)
		in.drops.Drop(DropNoLink)
		return
	}
	in.aim(l.device)
	if in.last.used != p {
		in.last.used = p
		p.touch(in.now, in.mailbox)
	}
	if in.linked.peer != p {
		in.linked.addTo(&in.total.rxFrames, &in.total.rxBytes, rxOf)
	}
	if frame := b[off : off+n]; offload.IsSYN(frame) {
		in.clamp(p.route.Load(), frame, h, false)
	}
	in.linked.add(p, n, 1)
	in.append(off, n, h)
}

// aim has the frames from now on go to a device. Those of before are counted, so that
// the next one of the main device is seen to be for that again.
func (in *inbound) aim(device FrameQueue) {
	if in.turn(device) {
		in.tally.addTo(&in.total.rxFrames, &in.total.rxBytes, rxOf)
	}
}
