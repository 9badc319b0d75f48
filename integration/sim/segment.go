package sim

import (
	"slices"
	"sync"
	"sync/atomic"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap/taptest"
)

// Segment is a LAN behind the devices of edges: a switch that learns, without spanning
// tree, with the edges' devices, hosts and cables to other switches at its ports. Frames
// take no time on it.
type Segment struct {
	mu    sync.Mutex
	ports []*port
	where map[protocol.MAC]*port
	heard map[protocol.MAC]int // frames that came from edges, by source
	count func(frame []byte)   // called for every frame that comes in, if not nil
}

// port is one port of a switch. It is complete before it is plugged in, and the same ever
// after: frames are read at it without a lock.
type port struct {
	out  func(frame []byte) // what is at the other end
	deaf bool               // it takes nothing from there
	edge bool               // an edge is at the other end
	vlan uint16             // frames with this tag alone go there and come from there; 0: all
}

// NewSegment returns a LAN with nothing on it.
func NewSegment() *Segment {
	return &Segment{where: make(map[protocol.MAC]*port), heard: make(map[protocol.MAC]int)}
}

// plug puts ports into use.
func (s *Segment) plug(p ...*port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = append(s.ports, p...)
}

// Count has a function called for every frame that comes in from now on.
func (s *Segment) Count(count func(frame []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count = count
}

// remove takes a port away, with what was learned of it, as a switch does when its
// carrier is lost.
func (s *Segment) remove(p *port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = slices.DeleteFunc(s.ports, func(q *port) bool { return p == q })
	for mac, at := range s.where {
		if at == p {
			delete(s.where, mac)
		}
	}
}

// receive takes a frame in at a port.
func (s *Segment) receive(from *port, frame []byte) {
	f := protocol.Frame(slices.Clone(frame))
	var to []*port
	s.mu.Lock()
	if !slices.Contains(s.ports, from) || from.deaf || !from.carries(f) {
		s.mu.Unlock()
		return
	}
	s.where[f.Src()] = from
	if from.edge {
		s.heard[f.Src()]++
	}
	if at := s.where[f.Dst()]; at != nil && !f.Dst().IsGroup() {
		to = append(to, at)
	} else {
		to = slices.Clone(s.ports)
	}
	count := s.count
	s.mu.Unlock()
	if count != nil {
		count(f)
	}
	for _, p := range to {
		if p != from && p.carries(f) {
			p.out(f)
		}
	}
}

// carries reports whether a frame may pass a port.
func (p *port) carries(f protocol.Frame) bool {
	tag, _ := bridge.TagOf(f)
	return p.vlan == 0 || tag.VLAN == p.vlan
}

// From returns how many frames with a source came from edges.
func (s *Segment) From(mac protocol.MAC) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard[mac]
}

// Attach connects the device of an edge that is made with the options, which it changes.
func (s *Segment) Attach(o *Options) (detach func()) {
	var device atomic.Pointer[taptest.Device] // of the edge's present process
	p := &port{edge: true, out: func(frame []byte) {
		if d := device.Load(); d != nil {
			d.Inject(frame)
		}
	}}
	s.plug(p)
	o.Deliver = func(frame []byte) { s.receive(p, frame) }
	o.Opened = device.Store
	return func() { s.remove(p) }
}

// Cable connects two LANs, and returns what takes the cable away. deaf says that the
// first one hears nothing of the second.
func (s *Segment) Cable(other *Segment, deaf bool) (unplug func()) {
	return s.connect(&port{deaf: deaf}, other, &port{})
}

// Trunk connects two LANs by a cable that carries one VLAN alone.
func (s *Segment) Trunk(other *Segment, vlan uint16) (unplug func()) {
	return s.connect(&port{vlan: vlan}, other, &port{vlan: vlan})
}

// connect puts a cable between two ports, and returns what takes it away.
func (s *Segment) connect(here *port, other *Segment, there *port) (unplug func()) {
	here.out = func(frame []byte) { other.receive(there, frame) }
	there.out = func(frame []byte) { s.receive(here, frame) }
	s.plug(here)
	other.plug(there)
	return func() {
		s.remove(here)
		other.remove(there)
	}
}

// Host is a station on a LAN.
type Host struct {
	MAC  protocol.MAC
	Sink Sink
	lan  *Segment
	port *port
}

// Host puts a station on the LAN.
func (s *Segment) Host(mac protocol.MAC) *Host {
	h := &Host{MAC: mac, lan: s}
	h.port = &port{out: func(frame []byte) {
		if dst := protocol.Frame(frame).Dst(); dst == mac || dst.IsGroup() {
			h.Sink.Deliver(frame)
		}
	}}
	s.plug(h.port)
	return h
}

func (h *Host) send(frame []byte) { h.lan.receive(h.port, frame) }

// Flow returns a flow from the host to an address; every host in to counts what it gets.
func (h *Host) Flow(w *World, dst protocol.MAC, to ...*Host) *Flow {
	sinks := make([]*Sink, 0, len(to))
	for _, t := range to {
		sinks = append(sinks, &t.Sink)
	}
	f := w.Flow(nil, dst, sinks...)
	f.host, f.src = h, h.MAC
	return f
}
