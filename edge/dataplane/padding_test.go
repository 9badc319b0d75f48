package dataplane

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"hedgerow/protocol"
)

// TestPaddingOf: no packet gets longer than its path carries, none is padded by one byte, which
// cannot be, full padding knows four lengths, and what measures a path stays as it is.
func TestPaddingOf(t *testing.T) {
	pong := protocol.AppendControl(nil)
	pong = (&protocol.Pong{Pad: 40}).Append(pong)
	for _, limit := range []int{0, -32, 512, 1196, 1400, 1440} {
		for kind := range 4 {
			lengths := make(map[int]bool)
			for n := 1; n <= 1500; n++ {
				inner := make([]byte, n)
				inner[0] = byte(kind) << 6
				if got := PaddingOff.of(inner, limit); got != 0 {
					t.Fatalf("off: %d bytes", got)
				}
				for _, p := range []Padding{PaddingLight, PaddingFull} {
					pad := p.of(inner, limit)
					long := protocol.Kind(kind) == protocol.KindControl && n >= padShort
					switch {
					case pad == 1 || pad < 0, pad > 0 && limit > 0 && n+pad > limit:
						t.Fatalf("%v: %d bytes more for %d of %d", p, pad, n, limit)
					case pad > 0 && long, p == PaddingLight && (pad > padSpread || pad > 0 && n >= padShort):
						t.Fatalf("%v: %d bytes more for %d of kind %d", p, pad, n, kind)
					case p == PaddingFull && limit > padShort && n <= limit && !long && n+1 != limit:
						lengths[n+pad] = true
					}
				}
			}
			if len(lengths) > padSteps {
				t.Errorf("kind %d of %d has %d lengths: %v", kind, limit, len(lengths), lengths)
			}
		}
		for _, p := range []Padding{PaddingLight, PaddingFull} {
			if n := p.of(pong, limit); n != 0 {
				t.Errorf("%v: a PONG is %d bytes longer than its PING", p, n)
			}
		}
	}
}

// TestLightPaddingVaries: a short frame has no length of its own, and neither has a PING.
func TestLightPaddingVaries(t *testing.T) {
	frames, pings := make(map[int]bool), make(map[int]bool)
	for range 2000 {
		frames[PaddingLight.of(make([]byte, 100), 1400)] = true
		pings[PaddingLight.pingPad()] = true
	}
	if len(frames) < padSpread/2 || len(pings) < padSpread/2 || PaddingOff.pingPad() != protocol.MinPingPad {
		t.Errorf("%d lengths of frames, %d of PINGs", len(frames), len(pings))
	}
}

// padded has all members of a rig pad.
func (r *rig) padded(p Padding) {
	for _, m := range r.members {
		m.bounds.padding = p
	}
}

// TestPaddedFramesArrive is TestFramesArrive with padding: every kind of frame comes out once
// and unchanged at who does not pad itself, and no datagram is longer than its path.
func TestPaddedFramesArrive(t *testing.T) {
	for _, p := range []Padding{PaddingLight, PaddingFull} {
		for name, build := range carriages {
			t.Run(fmt.Sprint(p, " ", name), func(t *testing.T) {
				r, a, b := build(t)
				r.padded(p)
				b.bounds.padding = PaddingOff
				for n := 64; n < 1500; n += 17 {
					r.arrives(t, "unicast", ethernet(b.self, a.self, protocol.EtherTypeIPv4, n), a, b)
				}
				for what, f := range unicastFrames(b.self, a.self) {
					r.arrives(t, what, f, a, b)
				}
				for what, f := range floodFrames(a.self) {
					r.arrives(t, what, f, a, b)
				}
			})
		}
		for name, limit := range map[string]int{"direct": MaxDatagramIPv4, "relayed": MaxDatagramRelayed} {
			r, a, b := carriages[name](t)
			r.padded(p)
			var lengths []int
			for n := range 1600 {
				for _, pkt := range r.capture(a, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 20+n)) {
					if lengths = append(lengths, len(pkt)); len(pkt) > limit {
						t.Fatalf("%v %s: a datagram of %d bytes", p, name, len(pkt))
					}
				}
			}
			slices.Sort(lengths)
			if lengths = slices.Compact(lengths); p == PaddingFull && len(lengths) > padSteps+1 { // and that of limit-1
				t.Errorf("%s: %d lengths: %v", name, len(lengths), lengths)
			}
		}
	}
}

// TestPaddedTrains: with padding a super-frame leaves as one train as without, and comes out as
// it was.
func TestPaddedTrains(t *testing.T) {
	for _, p := range []Padding{PaddingOff, PaddingLight, PaddingFull} {
		r, a, b := pair(t)
		r.offloading()
		r.padded(p)
		f := super(b.self, a.self, 6, 1318*20, 1318)
		binary.BigEndian.PutUint16(f.frame[14+10:], 0)
		binary.BigEndian.PutUint16(f.frame[14+10:], ^folded(f.frame[14:34], 0))
		want := bytes.Clone(f.frame)
		if trains := r.sendSuper(a, f); !slices.Equal(trains, []int{20}) {
			t.Errorf("%v: trains of %v", p, trains)
		}
		r.batch(a, b)
		if got := b.device.take(); len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Errorf("%v: %d frames came, or it changed", p, len(got))
		}
	}
}

// TestPaddingAllocatesNothing: it costs no memory per frame, whichever it is.
func TestPaddingAllocatesNothing(t *testing.T) {
	for _, p := range []Padding{PaddingLight, PaddingFull} {
		for _, f := range flows {
			send, a := f.outward(t)
			a.bounds.padding = p
			if n := testing.AllocsPerRun(runs, send); n != 0 || len(a.drops.nonzero()) != 0 {
				t.Errorf("%v, %s: %v allocations per frame, drops %v", p, f.name, n, a.drops.nonzero())
			}
		}
	}
}

// TestParsePadding: what is printed is read, and nothing else.
func TestParsePadding(t *testing.T) {
	for p, name := range Paddings {
		if got, err := ParsePadding(name); err != nil || got != Padding(p) || got.String() != name {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := ParsePadding("most"); err == nil {
		t.Error("it reads anything")
	}
}
