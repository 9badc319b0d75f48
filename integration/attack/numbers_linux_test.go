package attack

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
	"hedgerow/protocol"
)

// shape is what the frames of a stream look like.
type shape uint8

const (
	// plain frames have an EtherType for experiments: they travel whole.
	plain shape = iota
	// elided frames carry an IPv4 packet: their Ethernet header does not travel.
	elided
)

// stream is frames with numbers, from one member's device to another member or
// to everybody. Each has a mark of its own, so that a receiver tells them apart.
type stream struct {
	from, to *member // to nil: broadcast
	shape    shape
	size     int // of a frame in bytes
	mark     [8]byte
	fd       int
	ifindex  int
	sent     uint32
}

const (
	experiment = 0x88b5 // IEEE 802's local experimental EtherType
	// burst frames are sent at once; then comes a pause in which the device's
	// queue empties.
	burst = 8
	pause = time.Millisecond
)

var marks uint64 // streams made so far; tests do not run in parallel

// newStream opens a packet socket on the sender's device.
func newStream(t *testing.T, from, to *member, s shape, size int) *stream {
	t.Helper()
	st := &stream{from: from, to: to, shape: s, size: size, mark: [8]byte{'N', 'U', 'M', 'B', 'E', 'R'}}
	marks++
	binary.BigEndian.PutUint16(st.mark[6:], uint16(marks))
	err := from.at.Do(func() error {
		i, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		st.ifindex = i.Index
		st.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(st.fd) })
	return st
}

// frame returns the frame of a number.
func (s *stream) frame(number uint32) []byte {
	dst, etherType := protocol.Broadcast, uint16(experiment)
	if s.to != nil {
		dst = s.to.mac
	}
	if s.shape == elided {
		etherType = unix.ETH_P_IP
	}
	f := append(append(make([]byte, 0, s.size), dst[:]...), s.from.mac[:]...)
	f = binary.BigEndian.AppendUint16(f, etherType)
	if s.shape == elided {
		const experimental = 253 // RFC 3692; nobody answers it
		f = append(f, 0x45, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(s.size-14))
		f = append(f, 0, 0, 0, 0, 64, experimental, 0, 0)
		f = append(f, 192, 0, 2, 1, 192, 0, 2, 2) // to nobody: the receiver's kernel does nothing
	}
	f = binary.BigEndian.AppendUint32(append(f, s.mark[:]...), number)
	return append(f, make([]byte, s.size-len(f))...)
}

// send sends n more frames, at most eight in a millisecond.
func (s *stream) send(t *testing.T, n int) {
	t.Helper()
	to := &unix.SockaddrLinklayer{Ifindex: s.ifindex}
	for i := range n {
		if i%burst == burst-1 {
			time.Sleep(pause)
		}
		if err := unix.Sendto(s.fd, s.frame(s.sent), 0, to); err != nil {
			t.Fatalf("send on %s: %v", s.from.Name, err)
		}
		s.sent++
	}
}

// A receiver is a record of what reaches a member's device.
type receiver struct {
	t       *testing.T
	capture *lab.Capture
}

// receive records all frames on a member's device until the test ends.
func receive(t *testing.T, m *member) *receiver {
	t.Helper()
	return &receiver{t: t, capture: lab.Must(m.at.Capture(device))}
}

// counts returns how many times each frame of a stream was delivered.
func (r *receiver) counts(s *stream) map[uint32]int {
	seen := make(map[uint32]int)
	for _, p := range r.capture.Packets() {
		if len(p.Frame) < 14 || !bytes.Equal(p.Frame[6:12], s.from.mac[:]) {
			continue
		}
		if at := bytes.Index(p.Frame, s.mark[:]); at > 0 && len(p.Frame) >= at+12 {
			seen[binary.BigEndian.Uint32(p.Frame[at+8:])]++
		}
	}
	return seen
}

// await waits until so many different frames of a stream were delivered, and
// returns the counts.
func (r *receiver) await(s *stream, n int) map[uint32]int {
	r.t.Helper()
	for deadline := time.Now().Add(2 * soon); ; time.Sleep(10 * time.Millisecond) {
		seen := r.counts(s)
		if len(seen) >= n {
			return seen
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d of %d frames of %s were delivered", len(seen), n, s.from.Name)
		}
	}
}

// twice returns how many frames were delivered more than once.
func twice(seen map[uint32]int) (n int) {
	for _, times := range seen {
		if times > 1 {
			n++
		}
	}
	return n
}
