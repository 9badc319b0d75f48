package integration

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// stormType is the EtherType of the frames of a storm: an experimental one (IEEE 802).
const stormType = 0x88b5

// One host broadcasts 100,000 frames a second, or 5000 where its edge limits nothing: the
// budget passes, everybody else's ARP is answered, and the source is named once, in the
// log and in status of whoever limits it.
func TestStorm(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    lab.Kind
		path    control.Path
		rate    int
		options []string
	}{
		{"limited by its sender, direct", lab.PortRestricted, control.PathDirect, 100_000, nil},
		{"limited by its sender, relayed", lab.SymmetricRandom, control.PathRelay, 100_000, nil},
		{"limited by its receivers, direct", lab.PortRestricted, control.PathDirect, 5000, []string{"--storm", "off"}},
		{"limited by its receivers, relayed", lab.SymmetricRandom, control.PathRelay, 5000, []string{"--storm", "off"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t, 120*time.Second)
			source := w.join(w.home("source", 1, c.kind), overIPv4, c.options...)
			others := [2]*member{w.join(w.home("one", 2, c.kind), overIPv4), w.join(w.home("two", 3, c.kind), overIPv4)}
			source.addr()
			for i, m := range others {
				m.addr()
				m.meet(source.addr(), answerWithin)
				m.meet(others[1-i].addr(), answerWithin)
			}
			for i, m := range others {
				m.reach(source, c.path)
				m.reach(others[1-i], c.path)
			}
			idle := rtts(others[0], others[1])
			storm := startStorm(t, source, others[:], c.rate)
			answered := [2]int{}
			var asking sync.WaitGroup
			for i, m := range others {
				asking.Go(func() { answered[i] = asks(t, m, others[1-i], 50) })
			}
			busy := rtts(others[0], others[1])
			asking.Wait()
			sent, took, arrived := storm.end()
			t.Logf("%d frames in %v, %.0f a second; ping %v (p99 %v) before it and %v (p99 %v) in it", sent, took, float64(sent)/took.Seconds(),
				idle[len(idle)/2], idle[len(idle)*99/100], busy[len(busy)/2], busy[len(busy)*99/100])
			if answered[0]+answered[1] != 100 {
				t.Errorf("%d of 100 ARP requests of others were answered", answered[0]+answered[1])
			}
			limit, reason, guards := bridge.DefaultStorm, "storm-sent", []*member{source}
			if c.options != nil {
				limit, reason, guards = limit*5/4, "storm", others[:]
			}
			most := float64(limit) * (2 + took.Seconds()*1.02)
			for i, n := range arrived {
				t.Logf("%d of them came to %s", n, others[i].Name)
				if float64(n) > most+20 || float64(n) < most/2 {
					t.Errorf("%d frames of the storm came to %s, want %.0f", n, others[i].Name, most)
				}
			}
			for _, g := range guards {
				s := g.status()
				note := slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, "[E21]") && strings.Contains(n, "broadcasts") })
				if n := strings.Count(g.Log(), "[E21]"); n != 1 || !note || s.Drops[reason] == 0 {
					t.Errorf("%s named the source %d times in its log; in status %v: %q; dropped %v", g.Name, n, note, s.Notes, s.Drops)
				}
			}
			if c.options == nil && !strings.Contains(source.Log(), source.status().MAC) {
				t.Error("the host is not named")
			}
			for _, m := range others {
				if c.options == nil && strings.Contains(m.Log(), "[E21]") {
					t.Errorf("%s named somebody, too", m.Name)
				}
			}
		})
	}
}

// rtts pings 200 times within two seconds or more and returns the round trips, the
// shortest first.
func rtts(from, to *member) (list []time.Duration) {
	from.town.t.Helper()
	for range 200 {
		ctx, cancel := context.WithTimeout(from.town.ctx, answerWithin)
		rtt, err := from.Host.Ping(ctx, to.addr())
		cancel()
		if err != nil {
			from.town.t.Fatal(err)
		}
		list = append(list, rtt)
		time.Sleep(10 * time.Millisecond)
	}
	slices.Sort(list)
	return list
}

// aStorm is a host that broadcasts as fast as it is told to, until end.
type aStorm struct {
	t       *testing.T
	stop    chan struct{}
	running sync.WaitGroup
	began   time.Time
	sent    int
	socket  *rawSocket
	hears   []*rawSocket
	arrived []atomic.Int64
}

// startStorm begins a storm, and counts what comes of it at other members.
func startStorm(t *testing.T, source *member, others []*member, rate int) *aStorm {
	t.Helper()
	s := &aStorm{t: t, stop: make(chan struct{}), began: time.Now(), arrived: make([]atomic.Int64, len(others))}
	for i, m := range others {
		hears := lab.Must(openRaw(m, stormType))
		if err := unix.SetsockoptTimeval(hears.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}); err != nil {
			t.Fatal(err)
		}
		s.hears = append(s.hears, hears)
		s.running.Go(func() { s.count(i) })
	}
	s.socket = lab.Must(openRaw(source, 0)) // it hears nothing
	mac := source.mac()
	frame := slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, binary.BigEndian.AppendUint16(nil, stormType), make([]byte, 86))
	s.running.Go(func() { s.send(frame, rate) })
	return s
}

// send sends rate frames a second, in portions of a millisecond. What the device has no
// room for is lost, as with any card.
func (s *aStorm) send(frame []byte, rate int) {
	for tick := time.NewTicker(time.Millisecond); ; {
		select {
		case <-s.stop:
			tick.Stop()
			return
		case <-tick.C:
		}
		for due := int(time.Since(s.began).Seconds() * float64(rate)); s.sent < due; s.sent++ {
			if err := s.socket.send(frame); err != nil && !errors.Is(err, unix.ENOBUFS) {
				s.t.Error(err)
				return
			}
		}
	}
}

// count counts the frames that come to one of the others.
func (s *aStorm) count(i int) {
	b := make([]byte, 256)
	for {
		n, _, err := unix.Recvfrom(s.hears[i].fd, b, 0)
		if n > 0 {
			s.arrived[i].Add(1)
		}
		if errors.Is(err, unix.EAGAIN) {
			select {
			case <-s.stop:
				return
			default:
			}
		}
	}
}

// end ends the storm and returns how many frames were sent, in which time, and how many
// came to each of the others.
func (s *aStorm) end() (sent int, took time.Duration, arrived []int64) {
	close(s.stop)
	took = time.Since(s.began)
	s.running.Wait()
	s.socket.close()
	for i, h := range s.hears {
		h.close()
		arrived = append(arrived, s.arrived[i].Load())
	}
	return s.sent, took, arrived
}

// asks asks for the hardware address of another member by ARP, as a host does that does
// not know it, and returns how often it was answered.
func asks(t *testing.T, from, to *member, times int) (answered int) {
	s, err := openRaw(from, unix.ETH_P_ARP)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer s.close()
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		t.Error(err)
		return 0
	}
	own, wanted := from.mac(), to.mac()
	a, b := from.addr().As4(), to.addr().As4()
	request := slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, own, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, own, a[:], make([]byte, 6), b[:])
	buf := make([]byte, 256)
	for range times {
		if err := s.send(request); err != nil {
			t.Error(err)
			return answered
		}
		for until := time.Now().Add(answerWithin); time.Now().Before(until); {
			n, _, err := unix.Recvfrom(s.fd, buf, 0)
			if err == nil && n >= 42 && buf[21] == 2 && string(buf[22:28]) == string(wanted) && string(buf[28:32]) == string(b[:]) {
				answered++
				break
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return answered
}
