package pmtu

import (
	"testing"
	"time"
)

// FuzzDiscovery feeds a discovery any order of inputs. Two bytes are one input: what
// happens, and how long or how large.
func FuzzDiscovery(f *testing.F) {
	f.Add(uint16(1500), uint16(1500), []byte{0, 0, 1, 0, 0, 30, 1, 0, 0, 255})
	f.Add(uint16(1500), uint16(1280), []byte{0, 0, 0, 30, 0, 30, 0, 30, 1, 0, 0, 10, 1, 1, 2, 0, 0, 1})
	f.Add(uint16(1445), uint16(1445), []byte("a path that carries less and less, and then more again"))
	f.Fuzz(func(t *testing.T, full, size uint16, script []byte) {
		full = Minimum + full%(Ethernet-Minimum+1)
		size = Minimum + size%(full-Minimum+1)
		d := New(int(full), int(size), WatchEvery)
		now, best := epoch, int(size)
		var asked []int
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			switch op % 6 {
			case 0:
				now = now.Add(time.Duration(arg) * 10 * time.Millisecond)
			case 1, 2:
				if len(asked) > 0 {
					came := asked[int(arg)%len(asked)]
					best = max(best, came)
					d.Answered(now, came)
				}
			case 3:
				d.Refused()
			case 4:
				now = now.Add(time.Duration(arg) * 10 * time.Second)
			case 5:
				if next := d.Deadline(); next.After(now) {
					now = next
				}
			}
			list := d.Poll(now, lineTimeout, op < 240)
			asked = append(asked, list...)
			asked = asked[max(0, len(asked)-8):]
			for _, size := range list {
				if size != 0 && (size < Minimum || size > int(full)) {
					t.Fatalf("asks for %d bytes of %d", size, full)
				}
			}
			switch next := d.Deadline(); {
			case len(list) > mostAsked:
				t.Fatalf("asks for %v at once", list)
			case d.Size() < Minimum || d.Size() > best:
				t.Fatalf("%d bytes may be sent, of %d at most %d came back", d.Size(), full, best)
			case op >= 240 && (len(list) > 0 || !next.IsZero()):
				t.Fatalf("asks for %v at %v although the path is not active", list, next)
			case op < 240 && !next.After(now):
				t.Fatalf("the deadline %v at %v does not move on", next, now)
			}
		}
	})
}
