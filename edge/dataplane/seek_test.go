package dataplane

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// to is an IPv4 packet for a station that nobody knows.
func (m *member) to(station protocol.MAC, ip netip.Addr) []byte {
	return slices.Concat(station[:], m.self[:], []byte{8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 64, 0, 7}, ip.AsSlice(), make([]byte, 20))
}

// sought returns the stations that the control loop of a member is to look for.
func (m *member) sought() (list []StationSought) {
	for {
		select {
		case ev := <-m.mailbox.known:
			if ev, ok := ev.(StationSought); ok {
				list = append(list, ev)
			}
		default:
			return list
		}
	}
}

// TestSeek: a bridge looks for a station that frames go on being flooded for, whether a
// peer floods them or a host of its own. Nobody else does, and none for a group.
func TestSeek(t *testing.T) {
	station, ip := protocol.MAC{2, 9, 9, 9, 9, 9}, netip.MustParseAddr("10.64.0.50")
	want := StationSought{Key: bridge.Key{MAC: station}, Addr: ip}
	for _, c := range []struct {
		what    string
		gates   bool
		frame   func(m *member) []byte
		a, b    int // how often each looks for it
		seconds int
	}{
		{"once", true, func(m *member) []byte { return m.to(station, ip) }, 0, 0, 0},
		{"for two seconds", true, func(m *member) []byte { return m.to(station, ip) }, 2, 2, 2},
		{"no bridges", false, func(m *member) []byte { return m.to(station, ip) }, 0, 0, 2},
		{"to a group", true, func(m *member) []byte { return m.to(protocol.Broadcast, ip) }, 0, 0, 2},
		{"no IP", true, func(m *member) []byte { return ethernet(station, m.self, 0x88b5, 60) }, 0, 0, 2},
	} {
		r, a, b := pair(t)
		if c.gates {
			gated(r, a, false).Set(true)
			gated(r, b, false).Set(true)
		}
		for n := 0; n <= c.seconds*10; n++ {
			a.send(r.now, c.frame(a))
			r.carry()
			r.advance(100 * time.Millisecond)
		}
		for i, list := range [][]StationSought{a.sought(), b.sought()} {
			if n := []int{c.a, c.b}[i]; len(list) != n || n > 0 && list[0] != want {
				t.Errorf("%s: member %d looks for %v", c.what, i, list)
			}
		}
	}
}
