package integration

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A flow is a stream of numbered UDP datagrams over the overlay, sent at a
// steady rate, and a record of which ones arrived and when.
type flow struct {
	out, in *net.UDPConn
	to      netip.AddrPort
	began   time.Time
	rate    int
	sent    int
	waits   *waits        // of the edges; nil: nothing is known
	halt    chan struct{} // closed when no more is to be sent
	ended   chan struct{} // closed when the receiver has ended

	mu      sync.Mutex
	arrived []time.Time // by number; zero: not
	again   int         // datagrams that came once more
	strange int         // datagrams that are none of ours
}

const (
	flowSize   = 200     // payload of a datagram, in bytes
	flowBuffer = 8 << 20 // of the receiving socket, in bytes
	// flowTail is how long the receiver waits for the last datagrams.
	flowTail = 2 * time.Second
)

// newFlow opens the sockets of a flow from one member to another one, at its
// address. No two flows of a lab have one port.
func newFlow(from, to *member, port uint16, most int) *flow {
	return newFlowTo(from, to, netip.AddrPortFrom(to.addr(), port), most)
}

// newFlowTo is newFlow to any address that the receiver hears, such as one of a
// broadcast.
func newFlowTo(from, to *member, address netip.AddrPort, most int) *flow {
	t := from.town.t
	t.Helper()
	f := &flow{to: address, halt: make(chan struct{}), ended: make(chan struct{}), arrived: make([]time.Time, most)}
	var err error
	if f.in, err = to.Host.ListenUDP("udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), address.Port()).String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.in.Close() })
	if f.out, err = from.Host.ListenUDP("udp4", "0.0.0.0:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.out.Close() })
	if err := forceBuffer(f.in, flowBuffer); err != nil {
		t.Fatal(err)
	}
	go f.receive()
	return f
}

// forceBuffer sets the size of a socket's receive buffer, in bytes, beyond what
// others may.
func forceBuffer(c syscall.Conn, size int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	err = raw.Control(func(fd uintptr) {
		fault = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	})
	if err != nil {
		return err
	}
	return fault
}

// receive notes what arrives until the socket is closed or its deadline comes.
func (f *flow) receive() {
	defer close(f.ended)
	b := make([]byte, 2*flowSize)
	for {
		n, err := f.in.Read(b)
		if err != nil {
			return
		}
		now := time.Now()
		f.mu.Lock()
		number := binary.BigEndian.Uint64(b)
		switch {
		case n != flowSize || number >= uint64(len(f.arrived)):
			f.strange++
		case !f.arrived[number].IsZero():
			f.again++
		default:
			f.arrived[number] = now
		}
		f.mu.Unlock()
	}
}

// send sends count datagrams, rate a second, or until halt is closed. One that
// the machine refuses to send is lost like any other.
func (f *flow) send(count, rate int) {
	f.rate, f.sent = rate, count
	b := make([]byte, flowSize)
	f.began = time.Now()
	for i := range count {
		if wait := time.Until(f.due(i)); wait > 0 {
			select {
			case <-f.halt:
				f.sent = i
				return
			case <-time.After(wait):
			}
		}
		binary.BigEndian.PutUint64(b, uint64(i))
		_, _ = f.out.WriteToUDPAddrPort(b, f.to)
	}
}

// due returns when a datagram is sent.
func (f *flow) due(number int) time.Time {
	return f.began.Add(time.Duration(number) * time.Second / time.Duration(f.rate))
}

// finish waits for the last datagrams, closes the flow and returns how many
// are missing.
func (f *flow) finish() (missing []int) {
	for end := time.Now().Add(flowTail); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if len(f.missing()) == 0 {
			break
		}
	}
	f.in.Close()
	f.out.Close()
	<-f.ended
	return f.missing()
}

func (f *flow) missing() (numbers []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.sent {
		if f.arrived[i].IsZero() {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// firstAfter returns when the first datagram arrived after a time; zero: none.
func (f *flow) firstAfter(at time.Time) (first time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.arrived {
		if a.After(at) && (first.IsZero() || a.Before(first)) {
			first = a
		}
	}
	return first
}

// longestGap returns the longest time between two arrivals, without the machine's stalls, in
// which the sender stood still, too, and without what the edges waited for a processor.
func (f *flow) longestGap() (gap time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var last time.Time
	for _, a := range f.arrived {
		if a.IsZero() {
			continue
		}
		if !last.IsZero() {
			if a.Sub(last) > gap {
				gap = max(gap, f.waits.spent(last, a))
			}
		}
		last = a
	}
	return gap
}

// wantAll ends the flow and fails the test if a datagram was lost, came twice
// or was never sent.
func (f *flow) wantAll(t *testing.T, what string) {
	t.Helper()
	missing := f.finish()
	if n := len(missing); n > 0 {
		t.Errorf("%s: %d of %d lost, the first at %v and the last at %v of the flow", what, n, f.sent,
			f.due(missing[0]).Sub(f.began), f.due(missing[n-1]).Sub(f.began))
	}
	if f.again > 0 || f.strange > 0 {
		t.Errorf("%s: %d came twice, %d are not ours", what, f.again, f.strange)
	}
	t.Logf("%s: %d of %d lost, longest gap %v", what, len(missing), f.sent, f.longestGap())
}
