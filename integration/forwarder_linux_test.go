package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
)

// segments are three sites with a bridge each; the first two can be made one LAN by a
// cable between their bridges. No bridge has spanning tree.
type segments struct {
	*town
	sites []*site
}

// newSegments starts the edges of the sites, the first one with the best priority.
func (w *town) newSegments() *segments {
	w.t.Helper()
	s := &segments{town: w}
	for i, name := range []string{"north", "south", "far"} {
		at := w.site(w.home(name, i+1, lab.PortRestricted), i+1, 1500)
		s.sites = append(s.sites, at)
	}
	return s
}

// join starts the edges and waits until each does what it is to do.
func (s *segments) join(want ...string) {
	s.t.Helper()
	for i, at := range s.sites {
		s.joinBridge(at, "--storm", "off", "--bridge-priority", fmt.Sprint(100+i))
	}
	s.awaitStates(answerWithin, want...)
	for _, a := range s.sites {
		for _, b := range s.sites {
			if a != b {
				a.edge.learns(b.edge)
			}
		}
	}
}

// plug lays the cable, and unplug takes it away.
func (s *segments) plug() {
	s.t.Helper()
	s.sh(s.sites[0].host, fmt.Sprintf(`ip link add cable type veth peer name cable netns %s
		ip link set cable master br0; ip link set cable up`, s.sites[1].host.Path()))
	s.sh(s.sites[1].host, "ip link set cable master br0; ip link set cable up")
}

func (s *segments) unplug() {
	s.t.Helper()
	s.sh(s.sites[0].host, "ip link del cable")
}

// trunk lays a cable with a switch in it that carries one VLAN alone. Nothing else here
// knows of VLANs.
func (s *segments) trunk(vlan int) (unplug func()) {
	s.t.Helper()
	middle := lab.Must(s.Island("trunk"))
	s.sh(middle, fmt.Sprintf(`ip link add sw type bridge mcast_snooping 0; ip link set sw up
		nft 'add table bridge trunk; add chain bridge trunk out { type filter hook forward priority 0; policy drop; }; add rule bridge trunk out vlan id %d accept'`, vlan))
	for i, at := range s.sites[:2] {
		s.sh(at.host, fmt.Sprintf("ip link add trunk type veth peer name port%d netns %s; ip link set trunk master br0; ip link set trunk up", i, middle.Path()))
		s.sh(middle, fmt.Sprintf("ip link set port%[1]d master sw; ip link set port%[1]d up", i))
	}
	return func() { s.sh(middle, "ip link del port0; ip link del port1") }
}

// awaitStates waits until the edges are in these states, and returns how long it took. The
// machine's stalls do not count: bridges that were not heard for so long listen again, as
// they should.
func (s *segments) awaitStates(limit time.Duration, want ...string) time.Duration {
	s.t.Helper()
	begun := time.Now()
	for {
		var have []string
		for _, at := range s.sites {
			if st := at.edge.status(); st.Ethernet.Segment != nil {
				have = append(have, st.Ethernet.Segment.State)
			}
		}
		if slices.Equal(have, want) {
			return machine.since(begun)
		}
		if machine.since(begun) > limit {
			s.t.Fatalf("after %v the bridges are %v, want %v", limit, have, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// wire is a numbered stream of frames from one station to others.
type wire struct {
	s         *segments
	from      *rawSocket
	to        []*lab.Capture
	mark      []byte
	dst, src  net.HardwareAddr
	vlan      uint16 // 0: no tag
	sent      []time.Time
	receivers []int
}

// stream opens a stream from the station of a site to those of others; dst is nil for
// everybody. Its source is a station's own address, or another one.
func (s *segments) stream(from int, dst net.HardwareAddr, src net.HardwareAddr, to ...int) *wire {
	s.t.Helper()
	w := &wire{s: s, mark: random(8), dst: dst, src: src, receivers: to}
	if dst == nil {
		w.dst = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	if src == nil {
		w.src = s.mac(from)
	}
	w.from = lab.Must(openRaw(s.sites[from].station, unix.ETH_P_ALL))
	s.t.Cleanup(func() { _ = w.from.close() })
	for _, i := range to {
		w.to = append(w.to, lab.Must(s.sites[i].station.Host.Capture(overlay)))
	}
	return w
}

// mac returns the hardware address of a site's station.
func (s *segments) mac(i int) net.HardwareAddr { return s.sites[i].station.mac() }

// send sends the next frame.
func (w *wire) send() {
	w.s.t.Helper()
	f := append(append([]byte(nil), w.dst...), w.src...)
	if w.vlan != 0 {
		f = binary.BigEndian.AppendUint16(append(f, 0x81, 0x00), w.vlan)
	}
	f = append(f, 0x88, 0xb6) // Local Experimental EtherType 2
	f = binary.BigEndian.AppendUint32(append(f, w.mark...), uint32(len(w.sent)))
	w.sent = append(w.sent, time.Now())
	if err := w.from.send(append(f, make([]byte, 60)...)); err != nil {
		w.s.t.Fatal(err)
	}
}

// arrivals returns when each frame came to a receiver, as often as it did.
func (w *wire) arrivals(receiver int) [][]time.Time {
	got := make([][]time.Time, len(w.sent))
	for _, p := range w.to[receiver].Packets() {
		b := p.Frame
		if w.vlan != 0 && len(b) > 18 {
			b = b[4:]
		}
		if len(b) > 26 && bytes.Equal(b[14:22], w.mark) {
			n := binary.BigEndian.Uint32(b[22:])
			got[n] = append(got[n], p.Time)
		}
	}
	return got
}

// count returns how many frames came to the first receiver.
func (w *wire) count() (n int) {
	for _, times := range w.arrivals(0) {
		n += len(times)
	}
	return n
}

// complete reports whether each frame has come to each receiver.
func (w *wire) complete() bool {
	for i := range w.to {
		if slices.ContainsFunc(w.arrivals(i), func(times []time.Time) bool { return len(times) == 0 }) {
			return false
		}
	}
	return true
}

// exactly fails the test unless each frame came once to each receiver.
func (w *wire) exactly(what string) {
	w.s.t.Helper()
	for began := time.Now(); !w.complete() && machine.since(began) < answerWithin; {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // in which one may come again
	for i := range w.to {
		lost, twice := 0, 0
		for _, times := range w.arrivals(i) {
			switch {
			case len(times) == 0:
				lost++
			case len(times) > 1:
				twice++
			}
		}
		if lost > 0 || twice > 0 {
			w.s.t.Errorf("%s, to %s: %d of %d lost, %d twice", what, w.s.sites[w.receivers[i]].host.Name(), lost, len(w.sent), twice)
		}
	}
}

// gap returns the longest time between two arrivals at the first receiver, without the
// machine's stalls; the frames have to come at the end, too.
func (w *wire) gap() (longest time.Duration) {
	w.s.t.Helper()
	var last time.Time
	for _, times := range w.arrivals(0) {
		if len(times) == 0 {
			continue
		}
		if !last.IsZero() {
			longest = max(longest, machine.between(last, times[0]))
		}
		last = times[0]
	}
	if end := w.sent[len(w.sent)-1]; end.Sub(last) > time.Second {
		return time.Hour
	}
	return longest
}

// broadcasts sends so many of them from each site.
func (s *segments) broadcasts(what string, n int) {
	s.t.Helper()
	for from := range s.sites {
		var to []int
		for i := range s.sites {
			if i != from {
				to = append(to, i)
			}
		}
		w := s.stream(from, nil, nil, to...)
		for range n {
			w.send()
			time.Sleep(2 * time.Millisecond)
		}
		w.exactly(fmt.Sprintf("%s, broadcasts from %s", what, s.sites[from].host.Name()))
	}
}

// Two edges are bridges of one LAN, without spanning tree: every broadcast comes to
// every host once. When the forwarder is killed the other edge takes over within 3 s in
// both directions, for a host that says nothing as well. When it is back it forwards
// again.
func TestTwoBridgesOfOneLAN(t *testing.T) {
	w := newTown(t, 180*time.Second)
	s := w.newSegments()
	s.plug()
	s.join("forwarding", "standby", "forwarding")
	s.broadcasts("two bridges", 1000)

	silent := net.HardwareAddr{0x02, 0x11, 0x22, 0x33, 0x44, 0x55} // beside the station of south
	s.stream(1, nil, silent).send()                                // it was heard once
	time.Sleep(500 * time.Millisecond)
	out, in := s.stream(1, s.mac(2), nil, 2), s.stream(2, silent, nil, 1)
	both := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			out.send()
			in.send()
		}
	}
	both(time.Second)
	if err := s.sites[0].edge.Kill(); err != nil {
		t.Fatal(err)
	}
	both(6 * time.Second)
	t.Logf("the forwarder was killed: no frame left for %v, and none came for %v", out.gap(), in.gap())
	for what, gap := range map[string]time.Duration{"out": out.gap(), "in": in.gap()} {
		if gap > 3*time.Second {
			t.Errorf("%s: no frame for %v", what, gap)
		}
	}
	_, _ = s.sites[0].edge.Wait()
	s.joinBridge(s.sites[0], "--storm", "off", "--bridge-priority", "100")
	s.awaitStates(2*answerWithin, "forwarding", "standby", "forwarding")
	time.Sleep(time.Second)
	s.broadcasts("the forwarder is back", 100)
}

// A cable between two sites, without spanning tree: one broadcast loops for less than
// 2 s and 5000 times. Unplugged, both forward again within 5 s. So it goes again and
// again, as with a switch that fails and comes back.
func TestCableBetweenSites(t *testing.T) {
	w := newTown(t, 180*time.Second)
	s := w.newSegments()
	s.join("forwarding", "forwarding", "forwarding")
	s.broadcasts("three sites", 50)
	for round := range 4 {
		loop := s.stream(0, nil, nil, 1)
		s.plug()
		for loop.count() <= len(loop.sent) && len(loop.sent) < 100 { // the kernel takes its time with the carrier
			loop.send()
			time.Sleep(20 * time.Millisecond)
		}
		blocked := s.awaitStates(2*time.Second, "forwarding", "standby", "forwarding")
		time.Sleep(time.Second)
		looped := loop.count() - len(loop.sent)
		t.Logf("round %d: blocked within %v, %d looped frames", round, blocked, looped)
		if looped > 5000 {
			t.Errorf("%d looped frames", looped)
		}
		s.broadcasts("with the cable", 50)

		there, back := s.stream(0, s.mac(1), nil, 1), s.stream(1, s.mac(0), nil, 0)
		s.unplug()
		unplugged := time.Now()
		for time.Since(unplugged) < 6*time.Second {
			there.send()
			back.send()
			time.Sleep(5 * time.Millisecond)
		}
		for what, f := range map[string]*wire{"there": there, "back": back} {
			first := time.Hour
			for n, times := range f.arrivals(0) {
				if len(times) > 0 && f.sent[n].Sub(unplugged) > 500*time.Millisecond {
					first = f.sent[n].Sub(unplugged)
					break
				}
			}
			t.Logf("round %d: %s again %v after the cable was unplugged", round, what, first)
			if first > 5*time.Second {
				t.Errorf("%s: not within 5 s", what)
			}
		}
		s.awaitStates(answerWithin, "forwarding", "forwarding", "forwarding")
	}
	s.broadcasts("unplugged", 50)
}

// A trunk between two sites that carries VLAN 10 alone makes a loop there, which one bridge
// ends by standing by; its user is told that its other hosts are cut off. Unplugged, both
// forward again.
func TestTrunkInOneVLAN(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	s := w.newSegments()
	s.join("forwarding", "forwarding", "forwarding")
	loop := s.stream(0, nil, nil, 1)
	loop.vlan = 10
	loop.send()
	for began := time.Now(); !loop.complete() && machine.since(began) < answerWithin; {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Second) // in which it may come again
	if loop.count() != 1 {
		t.Fatalf("a frame in VLAN 10 came %d times", loop.count())
	}
	unplug := s.trunk(10)
	for loop.count() <= len(loop.sent) && len(loop.sent) < 100 {
		loop.send()
		time.Sleep(20 * time.Millisecond)
	}
	blocked := s.awaitStates(2*time.Second, "forwarding", "standby", "forwarding")
	time.Sleep(time.Second)
	looped := loop.count() - len(loop.sent)
	t.Logf("blocked within %v, %d looped frames", blocked, looped)
	if looped < 1 { // how many at most, the simulation says, since the loop is as fast as the machine is free
		t.Error("there was no loop")
	}
	if err := s.sites[1].edge.noteWithin("one in VLAN 10 alone", told); err != nil {
		t.Error(err)
	}
	again := s.stream(0, nil, nil, 1, 2)
	again.vlan = 10
	for range 50 {
		again.send()
		time.Sleep(2 * time.Millisecond)
	}
	again.exactly("in VLAN 10, by the trunk and by the edge")
	unplug()
	s.awaitStates(answerWithin, "forwarding", "forwarding", "forwarding")
}
