package sim

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// circle is some edges behind routers of their own, of which the first talks with
// every other one all the time.
type circle struct {
	*World
	sn    *Supernode
	edges []*Edge
	sinks []Sink
	stop  chan struct{}
}

// newCircle returns a circle after some seconds of talk.
func newCircle(t *testing.T, behaviors ...nattest.Behavior) *circle {
	c := &circle{World: New(t, 5), sinks: make([]Sink, len(behaviors)), stop: make(chan struct{})}
	c.sn = c.Supernode(supernodeAddr)
	for i, b := range behaviors {
		router := c.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), b)
		c.edges = append(c.edges, c.Edge(router.Host(netip.MustParseAddr("192.168.1.2")),
			Options{Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{c.sn}, Deliver: c.sinks[i].Deliver}))
	}
	time.Sleep(time.Second)
	for i, e := range c.edges[1:] {
		there, back := c.Flow(c.edges[0], e.MAC, &c.sinks[i+1]), c.Flow(e, c.edges[0].MAC, &c.sinks[0])
		go func() {
			for {
				there.Send()
				back.Send()
				select {
				case <-time.After(time.Second):
				case <-c.stop:
					return
				}
			}
		}()
	}
	time.Sleep(5 * time.Second)
	return c
}

// end stops what a circle has running, but for the supernode.
func (c *circle) end() {
	close(c.stop)
	time.Sleep(2 * time.Second)
	for _, e := range c.edges {
		e.Stop()
	}
	c.Close()
}

// meet sends from one edge to another one until the path is direct, and returns
// after how long it was.
func (c *circle) meet(t *testing.T, from, to int) time.Duration {
	t.Helper()
	f := c.Flow(c.edges[from], c.edges[to].MAC, &c.sinks[to])
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(20 * time.Millisecond) {
		f.Send()
		if pathTo(t, c.edges[from], c.edges[to]) == control.PathDirect && pathTo(t, c.edges[to], c.edges[from]) == control.PathDirect {
			took := time.Since(begun)
			before := f.Len()
			f.For(time.Second, 20*time.Millisecond)
			time.Sleep(time.Second)
			if lost := f.Lost(before, f.Len()); len(lost) > 0 {
				t.Errorf("lost when direct: %s", brief(lost))
			}
			return took
		}
	}
	t.Fatalf("no direct path from %d to %d within a minute", from, to)
	return 0
}

// The only supernode is gone for good. Two edges that talked long ago, or never,
// find each other through a third one with which both talk.
func TestThroughAnotherEdge(t *testing.T) {
	for _, met := range some(true, false) {
		name := "never met"
		if met {
			name = "met before"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { throughAnotherEdge(t, met) })
		})
	}
}

func throughAnotherEdge(t *testing.T, met bool) {
	c := newCircle(t, nattest.PortRestricted, nattest.PortRestricted, nattest.PortRestricted)
	defer c.end()
	if met {
		c.meet(t, 1, 2)
		time.Sleep(15 * time.Minute)
		if p := pathTo(t, c.edges[1], c.edges[2]); p == control.PathDirect {
			t.Fatal("they are still direct")
		}
	}
	c.sn.Stop()
	time.Sleep(20 * time.Minute)
	took := c.meet(t, 1, 2)
	t.Logf("direct after %v", took)
	if took > 3*time.Second {
		t.Errorf("direct after %v", took)
	}
}

// So it is where all that is sent at first is a broadcast, as when one host looks
// for the hardware address of another one.
func TestBroadcastThroughAnotherEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircle(t, nattest.PortRestricted, nattest.PortRestricted, nattest.PortRestricted)
		defer c.end()
		c.sn.Stop()
		time.Sleep(20 * time.Minute)
		f := c.Flow(c.edges[1], protocol.Broadcast, &c.sinks[2])
		f.For(5*time.Second, time.Second)
		first := f.Len()
		f.For(5*time.Second, time.Second)
		time.Sleep(time.Second)
		if lost := f.Lost(first, f.Len()); len(lost) > 0 {
			t.Errorf("lost 5 s after the first: %s", brief(lost))
		}
	})
}

// Without a third edge in between, and with one that cannot reach the other, there
// is no path, and there is one as soon as the supernode is back.
func TestNobodyBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircle(t, nattest.PortRestricted, nattest.PortRestricted, nattest.PortRestricted)
		c.sn.Stop()
		time.Sleep(20 * time.Minute)
		c.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool {
			return from.Addr() == netip.MustParseAddr("198.51.100.3") || to.Addr() == netip.MustParseAddr("198.51.100.3")
		})
		f := c.Flow(c.edges[1], c.edges[2].MAC, &c.sinks[2])
		f.For(2*time.Minute, time.Second)
		if p := pathTo(t, c.edges[1], c.edges[2]); p == control.PathDirect {
			t.Error("direct without any way")
		}
		c.Net.SetDrop(nil)
		c.sn.Start()
		time.Sleep(5 * time.Second)
		c.meet(t, 1, 2)
		c.end()
		c.sn.Stop()
	})
}
