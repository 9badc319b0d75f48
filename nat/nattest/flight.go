package nattest

import (
	"net/netip"
	"time"
)

// maxPayload is the longest UDP payload that is carried, in bytes.
const maxPayload = 2048

// packet is one datagram on its way. It belongs to the heap, then to the queue
// of a Conn, then to the free list.
type packet struct {
	at       time.Duration // of arrival, since the internet began
	seq      uint64        // of departure: equal times keep their order
	realm    *realm        // where it arrives
	group    *Multicast    // who gets it, of a packet to a group; else nil
	from, to netip.AddrPort
	ttl, tos uint8
	n        int
	buf      [maxPayload]byte
}

func (p *packet) payload() []byte { return p.buf[:p.n] }

// size returns the bytes of the whole IP packet.
func (p *packet) size() int {
	if p.to.Addr().Is4() {
		return 20 + 8 + p.n
	}
	return 40 + 8 + p.n
}

// hop takes n off the time to live and reports whether the packet goes on.
func (p *packet) hop(n uint8) bool {
	if p.ttl <= n {
		return false
	}
	p.ttl -= n
	return true
}

// flight is the datagrams in flight, as a heap by time of arrival, and the
// buffers of earlier ones.
type flight struct {
	heap []*packet
	seq  uint64
	free []*packet
}

// packet returns a packet to fill; its buffer holds old bytes.
func (n *Internet) packet() *packet {
	free := n.flying.free
	if len(free) == 0 {
		return new(packet)
	}
	p := free[len(free)-1]
	n.flying.free = free[:len(free)-1]
	return p
}

// release takes a packet back.
func (n *Internet) release(p *packet) {
	p.group = nil
	n.flying.free = append(n.flying.free, p)
}

// launch lets p arrive after d, and sets the timer when p is the next to.
func (n *Internet) launch(p *packet, d time.Duration) {
	p.at = n.now() + d
	p.seq = n.flying.seq
	n.flying.seq++
	if n.flying.push(p) {
		n.arm(d)
	}
}

func (n *Internet) arm(d time.Duration) {
	if n.timer == nil {
		n.timer = time.AfterFunc(d, n.run)
		return
	}
	n.timer.Reset(d)
}

// run is what the timer calls: all that is due arrives.
func (n *Internet) run() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	for !n.closed && len(n.flying.heap) > 0 {
		if wait := n.flying.heap[0].at - now; wait > 0 {
			n.arm(wait)
			return
		}
		n.land(n.flying.pop())
	}
}

func (p *packet) before(q *packet) bool {
	return p.at < q.at || p.at == q.at && p.seq < q.seq
}

// push adds p and reports whether it is the first to arrive.
func (f *flight) push(p *packet) bool {
	f.heap = append(f.heap, p)
	i := len(f.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !p.before(f.heap[parent]) {
			break
		}
		f.heap[i] = f.heap[parent]
		i = parent
	}
	f.heap[i] = p
	return i == 0
}

// pop takes the first to arrive; there must be one.
func (f *flight) pop() *packet {
	first := f.heap[0]
	last := len(f.heap) - 1
	p := f.heap[last]
	f.heap[last] = nil
	f.heap = f.heap[:last]
	if last == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && f.heap[child+1].before(f.heap[child]) {
			child++
		}
		if !f.heap[child].before(p) {
			break
		}
		f.heap[i] = f.heap[child]
		i = child
	}
	f.heap[i] = p
	return first
}
