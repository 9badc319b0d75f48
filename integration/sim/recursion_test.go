package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/transport"
)

// recursionShare is the most that may leave by the internet for each byte of a frame.
const recursionShare = 1.3

// Two edges are ports of bridges with addresses on them, and the direct way between them is
// blocked, or a route leads it into the overlay after a while. For five minutes no path
// leads through the overlay itself, and each frame leaves once.
func TestNeverThroughItself(t *testing.T) {
	public := [2]netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")}
	for name, c := range map[string]struct {
		blocked bool // the direct way
		routed  bool // it is led into the overlay later
		naive   bool // the other end does not know what is its own, and names the address on its bridge
	}{
		"bridges with addresses":          {blocked: true},
		"the other end knows nothing":     {blocked: true, naive: true},
		"a route while the path is up":    {routed: true},
		"a route, the direct way blocked": {blocked: true, routed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 51)
				if c.blocked {
					w.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool {
						return from.Addr() == public[0] && to.Addr() == public[1] || from.Addr() == public[1] && to.Addr() == public[0]
					})
				}
				sn := w.Supernode(supernodeAddr)
				hosts := [2]*Stacked{NewStacked(1), NewStacked(2)}
				var edges [2]*Edge
				for i, h := range hosts {
					h.Peer = hosts[1-i]
					h.naive = c.naive && i == 1
					o := Options{Name: []string{"left", "right"}[i], Supernodes: []*Supernode{sn}, Address: none, Deliver: h.Deliver, Stacked: h}
					o.Ethernet.Bridge, o.Ethernet.Storm = true, -1
					edges[i] = w.Edge(w.Net.Host(public[i]), o)
				}
				defer func() {
					edges[0].Stop()
					edges[1].Stop()
					sn.Stop()
				}()
				time.Sleep(5 * time.Second)
				if c.routed {
					hosts[0].Lead(public[1])
					hosts[1].Lead(public[0])
				}
				relays := c.blocked || c.routed
				carries(t, edges, hosts, relays)
			})
		})
	}
}

// carries has the left host send to the right one for five minutes, by the supernode alone.
func carries(t *testing.T, edges [2]*Edge, hosts [2]*Stacked, relays bool) {
	const every, settling = 5 * time.Millisecond, 5 * time.Second
	frame := Frame(hosts[1].MAC, hosts[0].MAC, make([]byte, 1200))
	edges[1].Device.Inject(Frame(hosts[0].MAC, hosts[1].MAC, make([]byte, 60)))
	send := func(d time.Duration) (bytes uint64) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(every) {
			edges[0].Device.Inject(frame)
			bytes += uint64(len(frame))
		}
		return bytes
	}
	send(settling)
	outer, recursive := hosts[0].outer.Load(), [2]uint64{hosts[0].recursive.Load(), hosts[1].recursive.Load()}
	inner := uint64(0)
	const look = 5 * time.Second
	for range span(5*time.Minute, 30*time.Second) / look {
		inner += send(look)
		for i, e := range edges {
			if p := pathTo(t, e, edges[1-i]); relays && p != control.PathRelay {
				t.Fatalf("%s has the path %q", e.options.Name, p)
			}
		}
	}
	outer = hosts[0].outer.Load() - outer
	t.Logf("%d bytes of frames left in %d bytes, %.3f times; datagrams into the overlay: %d and %d before, %d and %d then", inner, outer, float64(outer)/float64(inner),
		recursive[0], recursive[1], hosts[0].recursive.Load()-recursive[0], hosts[1].recursive.Load()-recursive[1])
	if share := float64(outer) / float64(inner); share < 0.9 || share > recursionShare {
		t.Errorf("%.2f times the bytes of the frames have left", share)
	}
	// What goes to the other end's address on the bridge would come there.
	before := edges[1].status().Drops["short"]
	s := &stackedSocket{host: hosts[0]}
	if _, err := s.WriteBatch([]transport.Datagram{{Buf: []byte{1}, N: 1, Addr: netip.AddrPortFrom(hosts[1].Inside, hosts[1].port)}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if edges[1].status().Drops["short"] != before+1 && edges[0].status().Drops["own-datagram"] == 0 {
		t.Error("this host has no way into the overlay, so that the test shows nothing")
	}
}
