package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

const (
	transferBytes = 100 << 20
	// holeBytes is the longest IP packet that passes the hole.
	holeBytes = 1300
	// holeKnown is how long a hole may last before both edges know of it, with
	// what the search for the size takes.
	holeKnown = 15 * time.Second
	// holeGap is how long a transfer may stand still when the hole begins: until
	// it is known, and until TCP tries again after that.
	holeGap = 5 * time.Second
	// lineRate is what the line of one home carries, in bytes per second each way:
	// 200 Mbit/s, less than these machines can seal, so that the line and not the
	// processor says what full speed is.
	lineRate = 25e6
	// fullSpeed is the share of the speed without the hole that counts as full:
	// packets of 1300 bytes have 2 % more headers.
	fullSpeed = 0.9
	// Where the processor sets the speed, packets cost more of it the shorter they
	// are, and the machine may have been busy.
	busySpeed = 0.5
	holeTries = 3
)

// The road between two edges swallows what is longer than 1300 bytes and says
// nothing. A transfer of 100 MB that is under way goes on after a moment, and one
// that begins afterwards fills the line as one without the hole does. Its segments
// are made to fit: hardly any frame is cut. Not in parallel: it compares speeds.
func TestBlackHole(t *testing.T) {
	for name, more := range map[string][]string{
		"super-frames":  nil,
		"single frames": {"--offload", "vnet=off"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, 3*time.Minute)
			// The hole looks at single datagrams. So do all transfers here.
			if err := w.DisableOffloads(); err != nil {
				t.Fatal(err)
			}
			more = append([]string{"-M", "1500"}, more...)
			router := lab.Must(w.Router("home-left", "198.51.100.1", lab.PortRestricted))
			left := w.join(lab.Must(router.Host("left")), overIPv4, more...)
			right := w.join(w.home("right", 2, lab.PortRestricted), overIPv4, more...)
			left.meet(right.addr(), answerWithin)
			left.reach(right, control.PathDirect)
			right.reach(left, control.PathDirect)

			unlimited := w.transfer(left, right, nil)
			t.Logf("without a hole and a limit: %v", unlimited)
			if err := router.SetRate(lineRate); err != nil {
				t.Fatal(err)
			}
			plain := w.transfer(left, right, nil)
			t.Logf("without a hole: %v", plain)
			if n := left.mtu(right); n != 1500 {
				t.Errorf("the path carries %d bytes, it says", n)
			}
			sudden := w.transfer(left, right, func() {
				if err := w.Internet().SetSizeHole(holeBytes, lab.UDP); err != nil {
					t.Error(err)
				}
			})
			t.Logf("with one in mid-transfer: %v", sudden)
			if sudden.gap > holeGap {
				t.Errorf("the transfer stood still for %v when the hole began", sudden.gap)
			}
			left.finds(right, holeBytes)
			right.finds(left, holeBytes)

			before := left.long()
			holed := w.transfer(left, right, nil)
			t.Logf("through the hole: %v", holed)
			after := left.long()
			if holed.speed() < fullSpeed*plain.speed() {
				t.Errorf("the transfer is slower through the hole: %v, %v without", holed, plain)
			}
			if after.Clamped == before.Clamped {
				t.Error("the connection's segments were not made to fit")
			}
			if cut := after.Cut - before.Cut; cut > transferBytes/holeBytes/100 {
				t.Errorf("%d frames were cut", cut)
			}

			if err := router.SetRate(0); err != nil {
				t.Fatal(err)
			}
			for range holeTries {
				holed = w.transfer(left, right, nil)
				t.Logf("through the hole without a limit: %v", holed)
				if holed.speed() >= busySpeed*unlimited.speed() {
					return
				}
			}
			t.Errorf("the transfer is much slower through the hole: %v, %v without", holed, unlimited)
		})
	}
}

// A transfer is a TCP stream over the overlay that has ended.
type transfer struct {
	took time.Duration
	gap  time.Duration // the longest between two reads
}

func (r transfer) speed() float64 { return transferBytes / r.took.Seconds() }

func (r transfer) String() string {
	return fmt.Sprintf("%.0f MB/s, longest gap %v", r.speed()/1e6, r.gap.Round(time.Millisecond))
}

// transfer sends bytes from one member to another one. If meanwhile is not nil it
// is called when a third has arrived.
func (w *town) transfer(from, to *member, meanwhile func()) transfer {
	w.t.Helper()
	server, err := to.Host.Listen("tcp", netip.AddrPortFrom(to.addr(), 0).String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer server.Close()
	var senders sync.WaitGroup
	defer senders.Wait()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	deadline, _ := ctx.Deadline()
	server.(*net.TCPListener).SetDeadline(deadline)
	var fault atomic.Value
	senders.Go(func() {
		if err := send(ctx, from, server.Addr().String()); err != nil {
			fault.Store(err)
		}
	})
	conn, err := server.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(deadline)
	began := time.Now()
	last, total, longest := began, 0, time.Duration(0)
	for b := make([]byte, 1<<18); ; {
		n, err := conn.Read(b)
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
		if total < transferBytes/3 && total+n >= transferBytes/3 && meanwhile != nil {
			meanwhile()
		}
		total += n
		if err == io.EOF {
			break
		}
		if err != nil {
			w.t.Fatalf("after %d bytes: %v", total, err)
		}
	}
	if err := fault.Load(); total != transferBytes || err != nil {
		w.t.Fatalf("%d bytes of %d arrived: %v", total, transferBytes, err)
	}
	return transfer{took: time.Since(began), gap: longest}
}

// send sends the bytes of a transfer.
func send(ctx context.Context, from *member, address string) error {
	conn, err := from.Host.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetWriteDeadline(deadline)
	b := random(1 << 18)
	for left := transferBytes; left > 0; {
		n, err := conn.Write(b[:min(left, len(b))])
		if err != nil {
			return err
		}
		left -= n
	}
	return conn.(*net.TCPConn).CloseWrite()
}

// mtu returns the bytes of the largest IP packet that the edge sends to another
// one, 0 when it does not know it.
func (m *member) mtu(other *member) int {
	m.town.t.Helper()
	peers, err := m.town.Peers(m.town.ctx, m.Program)
	if err != nil {
		m.town.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Name == other.Name {
			return p.MTU
		}
	}
	return 0
}

// finds waits until the edge knows what the path to another one carries.
func (m *member) finds(other *member, mtu int) {
	m.town.t.Helper()
	for began := time.Now(); m.mtu(other) != mtu; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > holeKnown {
			m.town.t.Fatalf("%s sends %d bytes to %s, the path carries %d", m.Name, m.mtu(other), other.Name, mtu)
		}
	}
}

// long returns what the edge did to frames that are too long.
func (m *member) long() control.LongCounters {
	m.town.t.Helper()
	c, err := m.town.Counters(m.town.ctx, m.Program)
	if err != nil {
		m.town.t.Fatal(err)
	}
	return c.Long
}
