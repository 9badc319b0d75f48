package sim

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// lans are two LANs, of which the left is behind a bridge: with a host behind each edge,
// or with the right edge itself as the host there.
type lans struct {
	*World
	sn    *Supernode
	edges [2]*Edge
	sinks [2]Sink
	hosts [2]protocol.MAC
}

// newLANs starts the edges, the first one a while before the other, and waits until the
// supernode knows both.
func newLANs(t *testing.T, b nattest.Behavior, first int, plain bool) *lans {
	l := &lans{World: New(t, 97), hosts: [2]protocol.MAC{{2, 0, 0, 0, 9, 1}, {2, 0, 0, 0, 9, 2}}}
	l.sn = l.Supernode(supernodeAddr)
	for _, i := range []int{first, 1 - first} {
		o := Options{Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{l.sn}, Deliver: l.sinks[i].Deliver, Address: none}
		o.Ethernet.Bridge = i == 0 || !plain
		l.edges[i] = l.Edge(behind(b)(l.Net, i), o)
		time.Sleep(stagger)
	}
	time.Sleep(2 * time.Second) // the registration of the last one, and listening
	if plain {
		l.hosts[1] = l.edges[1].MAC
	}
	return l
}

// from returns a flow of the host at one side to an address at the other.
func (l *lans) from(side int, to protocol.MAC) *Flow {
	f := l.Flow(l.edges[side], to, &l.sinks[1-side])
	f.src = l.hosts[side]
	return f
}

func (l *lans) end() {
	for _, e := range l.edges {
		e.Stop()
	}
	l.sn.Stop()
}

// TestBridgedHostsMeetCold has the first ARP request of a host answered, although nobody
// has ever heard of either host: whichever edge came first, whoever asks, and whatever
// way the packets go.
func TestBridgedHostsMeetCold(t *testing.T) {
	for name, b := range bothPaths {
		for round := range 8 {
			first, asks, plain := round&1, round>>1&1, round>>2&1 == 1
			t.Run(fmt.Sprintf("%s, %d first, %d asks, plain=%v", name, first, asks, plain), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLANs(t, b, first, plain)
					defer l.end()
					request, reply := l.from(asks, protocol.Broadcast), l.from(1-asks, l.hosts[asks])
					l.sinks[1-asks].answer = func(f *Flow, _ uint64) {
						if f == request {
							reply.Send()
						}
					}
					sent := time.Now()
					request.Run(3, time.Second)
					within(t, "the first answer", reply.Resumed(sent), 0, time.Second)
					if lost := request.Lost(0, 3); len(lost) != 0 {
						t.Errorf("lost requests: %s", brief(lost))
					}
				})
			})
		}
	}
}

// TestHellosKeepLANsTogether has hosts send to a group every ten seconds and nothing
// else, as OSPF does. None is lost, and both edges know where the hosts are throughout.
func TestHellosKeepLANsTogether(t *testing.T) {
	for name, b := range bothPaths {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, plain=%v", name, plain), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLANs(t, b, 0, plain)
					defer l.end()
					group := protocol.MAC{1, 0, 0x5e, 0, 0, 5}
					hellos := [2]*Flow{l.from(0, group), l.from(1, group)}
					const hello = 10 * time.Second
					for range span(40*time.Minute, 5*time.Minute) / hello {
						hellos[0].Send()
						hellos[1].Send()
						time.Sleep(hello)
					}
					for i, f := range hellos {
						if lost := f.Lost(0, f.Len()); len(lost) != 0 {
							t.Errorf("lost hellos of side %d: %s", i, brief(lost))
						}
					}
				})
			})
		}
	}
}

// TestSilentBridgesKeepSessions has two LANs say nothing for hours. The first request then
// arrives at once: the session was renewed all the time.
func TestSilentBridgesKeepSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLANs(t, nattest.PortRestricted, 0, false)
		defer l.end()
		time.Sleep(span(3*time.Hour, 40*time.Minute))
		for i, e := range l.edges {
			peers, err := e.Edge.Peers(t.Context())
			if err != nil || len(peers) != 1 || peers[0].LastSeenS == nil || *peers[0].LastSeenS > 180 {
				t.Errorf("side %d: %+v, %v", i, peers, err)
			}
		}
		request := l.from(0, protocol.Broadcast)
		sent := time.Now()
		request.Send()
		time.Sleep(time.Second)
		within(t, "the request", request.Resumed(sent), 0, 200*time.Millisecond)
	})
}
