package attack

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
	"hedgerow/protocol"
)

// leg is one way over which a packet is altered.
type leg struct {
	name     string
	from, to *member
	group    bool
	shape    shape
	hold     netip.Addr // whose datagrams are held up
	path     func(d datagram) bool
	want     protocol.Type
}

// controls is how many packets of each leg are delivered unaltered, at last.
const controls = 20

// legs are all the ways: a session's packet and a GROUP packet directly, and
// both relayed, on the way to the supernode and on the way from it.
func (w *town) legs() []leg {
	super := netip.MustParseAddrPort(superAddr)
	rightWAN := netip.MustParseAddr("198.51.100.2")
	leftWAN := netip.MustParseAddr("198.51.100.1")
	farWAN := netip.MustParseAddr("198.51.100.3")
	awayWAN := netip.MustParseAddr("198.51.100.4")
	direct := func(d datagram) bool { return d.from.Addr() == leftWAN && d.to.Addr() == rightWAN }
	up := func(d datagram) bool { return d.from.Addr() == farWAN && d.to == super }
	down := func(d datagram) bool { return d.from == super && d.to.Addr() == awayWAN }
	return []leg{
		{"direct, session, whole frame", w.left, w.right, false, plain, rightWAN, direct, protocol.TypeData},
		{"direct, session, elided frame", w.left, w.right, false, elided, rightWAN, direct, protocol.TypeData},
		{"direct, group", w.left, w.right, true, plain, rightWAN, direct, protocol.TypeGroup},
		{"to the supernode, session", w.far, w.away, false, elided, super.Addr(), up, protocol.TypeRelay},
		{"to the supernode, group", w.far, w.away, true, plain, super.Addr(), up, protocol.TypeRelay},
		{"from the supernode, session", w.far, w.away, false, plain, awayWAN, down, protocol.TypeRelay},
		{"from the supernode, group", w.far, w.away, true, plain, awayWAN, down, protocol.TypeRelay},
	}
}

// Every bit of a packet is flipped, and no such packet is delivered. A packet
// whose number has been taken would be dropped for that alone, so each bit is
// flipped in a packet of its own that never arrived: they are alike but for
// their numbers, and are held up on the way. Some are sent unaltered at the
// end and are delivered.
func TestEveryBitFlipped(t *testing.T) {
	w := newTown(t)
	spoof := newSpoofer(t, w.lab.Internet().Namespace)
	for _, l := range w.legs() {
		t.Run(l.name, func(t *testing.T) {
			at := receive(t, l.to)
			st, held := w.holdUp(t, l)
			bits := len(held[0].payload) * 8
			before, superBefore := w.drops(l.to), w.superStatus().Drops
			for bit := range bits {
				d := held[bit]
				d.payload[bit/8] ^= 0x80 >> (bit % 8)
				if err := spoof.send(d.from, d.to, d.payload); err != nil {
					t.Fatal(err)
				}
				if bit%burst == 0 {
					time.Sleep(pause / 4)
				}
			}
			time.Sleep(settle)
			if n := len(at.counts(st)); n > 0 {
				t.Errorf("%d of %d altered packets were delivered", n, bits)
			}
			diff, superDiff := rig.Grown(before, w.drops(l.to)), rig.Grown(superBefore, w.superStatus().Drops)
			t.Logf("%d bits of a %s packet of %d bytes: %s dropped %v, the supernode %v",
				bits, l.want, len(held[0].payload), l.to.Name, diff, superDiff)
			if n := total(diff) + total(superDiff); n < uint64(bits)*95/100 {
				t.Errorf("only %d of %d altered packets were dropped by anybody", n, bits)
			}
			for _, d := range held[bits : bits+controls] {
				if err := spoof.send(d.from, d.to, d.payload); err != nil {
					t.Fatal(err)
				}
			}
			if seen := at.await(st, controls); twice(seen) > 0 || len(seen) != controls {
				t.Errorf("of %d unaltered packets %d were delivered, %d twice", controls, len(seen), twice(seen))
			}
		})
	}
}

// bySize returns what a capture has seen on the way of a leg, by its length.
func (l leg) bySize(c *lab.Capture) map[int][]datagram {
	list := make(map[int][]datagram)
	for _, d := range datagrams(c.Packets()) {
		if l.path(d) {
			list[len(d.payload)] = append(list[len(d.payload)], d)
		}
	}
	return list
}

// most returns how many there are of the length that most have.
func (l leg) most(c *lab.Capture) (n int) {
	for _, list := range l.bySize(c) {
		n = max(n, len(list))
	}
	return n
}

// holdUp sends frames over a leg while it is interrupted, and returns the
// datagrams that carried them and did not arrive: one for each bit, and the
// controls.
func (w *town) holdUp(t *testing.T, l leg) (*stream, []datagram) {
	t.Helper()
	to := l.to
	if l.group {
		to = nil
	}
	const size = 64
	// The longest packet around such a frame has header, salt and tag, in a
	// relay's header: 8 times 144 bits, and the controls.
	const frames = 1300
	// Warm: the path is in use, and the sender knows the receiver.
	warm, at := newStream(t, l.from, to, l.shape, size), receive(t, l.to)
	warm.send(t, 8)
	at.await(warm, 8)

	capture := lab.Must(w.lab.Internet().Capture())
	if err := w.lab.Internet().Block(l.hold); err != nil {
		t.Fatal(err)
	}
	st := newStream(t, l.from, to, l.shape, size)
	st.send(t, frames)
	for seen, last := 0, time.Now(); seen < frames && time.Since(last) < time.Second; time.Sleep(20 * time.Millisecond) {
		if now := l.most(capture); now > seen { // others are on their way
			seen, last = now, time.Now()
		}
	}
	if err := w.lab.Internet().Unblock(l.hold); err != nil {
		t.Fatal(err)
	}
	if err := capture.Stop(); err != nil {
		t.Fatal(err)
	}
	// Everything else on the path in that moment is a few pings.
	for length, list := range l.bySize(capture) {
		if len(list) < frames/2 {
			continue
		}
		if len(list) < length*8+controls {
			t.Fatalf("only %d datagrams of %d bytes were held up", len(list), length)
		}
		k := w.secrets()
		mask := k.edge
		if l.want == protocol.TypeRelay {
			mask = k.super
		}
		b := append([]byte(nil), list[0].payload...)
		mask.Show(k.scratch, b)
		if h, err := protocol.ParseHeader(b); err != nil || h.Type != l.want {
			t.Fatalf("what was held up is %v, %v, not %v", h.Type, err, l.want)
		}
		return st, list
	}
	t.Fatalf("nothing was held up")
	return nil, nil
}
