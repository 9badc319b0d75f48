package tap

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
	"hedgerow/tap/offload"
)

// seen is what a wire carried, by kind.
type seen struct {
	mu               sync.Mutex
	longest          int
	tcp4, tcp6, udp  int // super-frames
	unsummed, others int // other frames without and with their checksums
	faults           []string
}

func (s *seen) frame(_ *Device, f *Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.longest = max(s.longest, f.Len)
	h := f.Offload
	switch h.GSOType &^ offload.GSOECN {
	case offload.GSONone:
		if h.Flags == offload.FlagNeedsCsum {
			s.unsummed++
		} else {
			s.others++
		}
		if f.Len > wireMTU+14 {
			s.faults = append(s.faults, fmt.Sprintf("a plain frame of %d bytes", f.Len))
		}
		return
	case offload.GSOTCPv4:
		s.tcp4++
		s.check(f, 34, 16)
	case offload.GSOTCPv6:
		s.tcp6++
		s.check(f, 54, 16)
	case offload.GSOUDPL4:
		s.udp++
		s.check(f, 34, 6)
	default:
		s.faults = append(s.faults, fmt.Sprintf("%+v", h))
	}
}

// check looks at the header of a super-frame whose transport header is at start
// and has its checksum at offset.
func (s *seen) check(f *Frame, start, offset uint16) {
	h := f.Offload
	if h.Flags != offload.FlagNeedsCsum || h.CsumStart != start || h.CsumOffset != offset ||
		h.HdrLen < start+8 || h.GSOSize == 0 || int(h.HdrLen-14+h.GSOSize) > wireMTU || f.Len <= int(h.HdrLen+h.GSOSize) {
		s.faults = append(s.faults, fmt.Sprintf("%d bytes with %+v", f.Len, h))
	}
}

// report gives what was seen and complains of what cannot be.
func (s *seen) report(t *testing.T) *seen {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) > 0 {
		t.Errorf("%d headers are wrong, the first: %s", len(s.faults), s.faults[0])
	}
	return &seen{longest: s.longest, tcp4: s.tcp4, tcp6: s.tcp6, udp: s.udp, unsummed: s.unsummed, others: s.others}
}

const transferSize = 4 << 20

// TestSuperFrames sends streams of TCP through two devices: they cross in
// super-frames and arrive as they were.
func TestSuperFrames(t *testing.T) {
	l := lab.ForTest(t)
	cfg := Config{Backend: BackendNative}
	a, b := newStation(t, l, "a", "203.0.113.1", "1", cfg), newStation(t, l, "b", "203.0.113.2", "2", cfg)
	if a.device.Features() != allFeatures {
		t.Errorf("features %v", a.device.Features())
	}
	var s seen
	wire(t, a.device, b.device, s.frame)
	transfer(t, a, b, "10.64.0.2", transferSize)
	transfer(t, b, a, "fd00:64::1", transferSize)
	if got := s.report(t); got.tcp4 == 0 || got.tcp6 == 0 || got.longest < 10*wireMTU {
		t.Errorf("%+v", got)
	}
	c := a.device.Queues()[0].Counters()
	if c.SuperIn == 0 || c.SuperOut == 0 || c.FramesIn <= c.SuperIn || c.Reads < c.FramesIn || c.Writes < c.FramesOut {
		t.Errorf("%+v", c)
	}
	if a.device.Dropped()+b.device.Dropped() > 0 {
		t.Errorf("%d and %d frames dropped", a.device.Dropped(), b.device.Dropped())
	}
}

// TestSuperFramesAreWhatTheySay has a machine between that receives super-frames
// and forwards them to a plain device, so that its kernel cuts and sums them,
// and another kernel verifies every checksum.
func TestSuperFramesAreWhatTheySay(t *testing.T) {
	l := lab.ForTest(t)
	a := newStation(t, l, "a", "203.0.113.1", "1", Config{Backend: BackendNative})
	b := newStation(t, l, "b", "203.0.113.2", "2", Config{Backend: BackendNative})
	c := &station{Host: lab.Must(l.Host("c", "203.0.113.3"))}
	plain := Config{Backend: BackendWater}
	out, in := b.open(t, "out", plain, "10.65.0.2/24"), c.open(t, "in", plain, "10.65.0.3/24")
	if err := b.Sysctl("net/ipv4/ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	a.route(t, "10.65.0.0/24", "10.64.0.2")
	c.route(t, "10.64.0.0/24", "10.65.0.2")

	var super, single seen
	var long atomic.Int32
	wire(t, a.device, b.device, super.frame)
	wire(t, out, in, func(from *Device, f *Frame) {
		single.frame(from, f)
		if from == out && f.Len > wireMTU/2 && long.Add(1) == 20 {
			f.Bytes()[200] ^= 1 // it is a single one, so the kernel must notice
		}
	})
	transfer(t, a, c, "10.65.0.3", transferSize)
	if got := super.report(t); got.tcp4 == 0 {
		t.Errorf("between vnet devices: %+v", got)
	}
	if got := single.report(t); got.tcp4+got.unsummed > 0 || got.others < transferSize/wireMTU {
		t.Errorf("between plain devices: %+v", got)
	}
	if n := c.checksumErrors(t); n != "1" {
		t.Errorf("%s wrong checksums, want the one that was spoilt", n)
	}
}

// trainOf sends datagrams of 1000 bytes and a shorter one in one call
// (UDP_SEGMENT, Linux 4.18) and checks that the other station gets each.
func trainOf(t *testing.T, from, to *station, count int) {
	t.Helper()
	const size, last = 1000, 123
	receiver, err := to.ListenUDP("udp", "10.64.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	sender, err := from.ListenUDP("udp", "10.64.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	raw := lab.Must(sender.SyscallConn())
	if ctlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
	}); ctlErr != nil || err != nil {
		t.Fatal(ctlErr, err)
	}
	data := make([]byte, count*size+last)
	for i := range data {
		data[i] = byte(i / size)
	}
	if _, err := sender.WriteToUDPAddrPort(data, receiver.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		t.Fatal(err)
	}
	receiver.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 2*size)
	for i := range count + 1 {
		want := data[i*size : min((i+1)*size, len(data))]
		n, peer, err := receiver.ReadFromUDPAddrPort(buf)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("datagram %d: %d bytes, %v, want %d", i, n, err, len(want))
		}
		if peer.Addr() != netip.MustParseAddr("10.64.0.1") {
			t.Fatal(peer)
		}
	}
}

// TestWithout refuses one feature after the other: everything arrives all the
// same, and nothing of what was refused is seen.
func TestWithout(t *testing.T) {
	tests := []struct {
		name              string
		cfg               Config
		want              Features
		tcp, udp, unsumed bool // what is seen
	}{
		{"all", Config{}, allFeatures, true, true, true},
		{"no uso", Config{Without: FeatureUSO}, allFeatures &^ FeatureUSO, true, false, true},
		{"no tso", Config{Without: FeatureTSO}, allFeatures &^ FeatureTSO, false, true, true},
		{"neither", Config{Without: FeatureTSO | FeatureUSO}, FeatureVnet | FeatureCsum, false, false, true},
		{"no csum", Config{Without: FeatureCsum}, FeatureVnet, false, false, false},
		{"no vnet", Config{Without: FeatureVnet}, 0, false, false, false},
		{"water", Config{Backend: BackendWater}, 0, false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := lab.ForTest(t)
			a, b := newStation(t, l, "a", "203.0.113.1", "1", tt.cfg), newStation(t, l, "b", "203.0.113.2", "2", tt.cfg)
			if got := a.device.Features(); got != tt.want {
				t.Fatalf("features %v, want %v", got, tt.want)
			}
			var s seen
			wire(t, a.device, b.device, s.frame)
			transfer(t, a, b, "10.64.0.2", transferSize/4)
			trainOf(t, a, b, 20)
			got := s.report(t)
			if got.tcp4 > 0 != tt.tcp || got.udp > 0 != tt.udp || got.unsummed > 0 != tt.unsumed {
				t.Errorf("seen %+v", got)
			}
		})
	}
}

// TestChecksumForAPlainDevice carries frames without their checksums to a device
// that has no vnet headers: it computes them, and the kernel behind it verifies.
func TestChecksumForAPlainDevice(t *testing.T) {
	l := lab.ForTest(t)
	a := newStation(t, l, "a", "203.0.113.1", "1", Config{Without: FeatureTSO | FeatureUSO})
	b := newStation(t, l, "b", "203.0.113.2", "2", Config{Backend: BackendWater})
	var s seen
	wire(t, a.device, b.device, s.frame)
	transfer(t, a, b, "10.64.0.2", transferSize/4)
	transfer(t, a, b, "fd00:64::2", transferSize/4)
	if got := s.report(t); got.unsummed < transferSize/4/wireMTU {
		t.Errorf("%+v", got)
	}
	if n := b.checksumErrors(t); n != "0" || b.device.Dropped() > 0 {
		t.Errorf("%s wrong checksums, %d dropped", n, b.device.Dropped())
	}
}

// TestQueues spreads connections over two queues, both of which carry some.
func TestQueues(t *testing.T) {
	l := lab.ForTest(t)
	a := newStation(t, l, "a", "203.0.113.1", "1", Config{Queues: 2})
	b := newStation(t, l, "b", "203.0.113.2", "2", Config{Queues: 2})
	if len(a.device.Queues()) != 2 || len(b.device.Queues()) != 2 {
		t.Fatalf("%d and %d queues", len(a.device.Queues()), len(b.device.Queues()))
	}
	var s seen
	wire(t, a.device, b.device, s.frame)
	var flows sync.WaitGroup
	for range 16 {
		flows.Go(func() { transfer(t, a, b, "10.64.0.2", transferSize/16) })
	}
	flows.Wait()
	s.report(t)
	for i, q := range a.device.Queues() {
		if c := q.Counters(); c.SuperIn == 0 || c.FramesOut == 0 {
			t.Errorf("queue %d: %+v", i, c)
		}
	}
}
