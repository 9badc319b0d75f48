package underlay

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/nat/address"
)

var sampleServer = addr("198.51.100.1:7654")

// hardNAT has a rig see a NAT that gives every destination another port.
func hardNAT(r *rig) {
	r.Addresses.Observed(time.Now(), sampleServer, addr("203.0.113.9:2000"))
	r.Addresses.Observed(time.Now(), addr("198.51.100.2:7654"), addr("203.0.113.9:2001"))
}

// answers has the sockets' requests answered after a delay, with their own ports
// plus 1000.
func answers(t *testing.T, m *memory, delay time.Duration) {
	m.answer = func(x *memorySocket, d datagram) {
		pkt := answer(t, d.pkt, netip.AddrPortFrom(addr("203.0.113.9:1").Addr(), d.port+1000), netip.AddrPort{})
		x.m.r.workers.Go(func() {
			select {
			case <-time.After(delay):
				x.receive(d.to, []byte("nonsense"))
				x.receive(d.to, pkt)
				x.receive(d.to, pkt) // once more
			case <-x.m.r.ctx.Done():
			}
		})
	}
}

// heard is what came back of a question for our pattern.
type heard struct {
	at      time.Duration
	pattern address.Pattern
}

func (r *rig) pattern(list *[]heard, server netip.AddrPort) {
	r.Ports.Pattern(time.Now(), server, func(_ time.Time, mine address.Pattern) {
		*list = append(*list, heard{r.since(), mine})
	})
}

func TestPortSample(t *testing.T) {
	var m memory
	inRig(t, withSockets(&m, newSides()), func(r *rig) {
		answers(t, &m, 30*time.Millisecond)
		r.Start(time.Now(), nil)
		hardNAT(r)
		r.run(0)
		var got []heard
		r.pattern(&got, sampleServer)
		r.run(10 * time.Millisecond)
		r.pattern(&got, sampleServer) // waits for the same sample
		r.run(time.Second)
		var want []uint16
		for i := range uint16(address.MaxPorts) {
			want = append(want, 21000+i)
		}
		if len(got) != 2 || got[0].at != 30*time.Millisecond || !slices.Equal(got[0].pattern.Ports, want) ||
			!slices.Equal(got[1].pattern.Ports, want) || got[0].pattern.Mapping != address.MappingAddressAndPortDependent {
			t.Fatalf("heard %v", got)
		}
		if m.opened != address.MaxPorts || len(m.open) != 0 {
			t.Errorf("%d sockets were opened, %d are left", m.opened, len(m.open))
		}
		// The sample serves for 1 s.
		r.run(20*time.Millisecond - 1)
		r.pattern(&got, sampleServer)
		if len(got) != 3 || m.opened != address.MaxPorts {
			t.Errorf("a sample of less than 1 s was made again")
		}
		r.run(1)
		r.pattern(&got, sampleServer)
		r.run(time.Second)
		if len(got) != 4 || m.opened != 2*address.MaxPorts {
			t.Errorf("a sample of 1 s serves for ever")
		}
	})
}

// After 400 ms what has come is all there is.
func TestPortSampleTimeout(t *testing.T) {
	m := memory{most: 5}
	inRig(t, withSockets(&m, newSides()), func(r *rig) {
		answers(t, &m, 30*time.Millisecond)
		early := m.answer
		m.answer = func(x *memorySocket, d datagram) {
			if d.port%2 == 0 {
				early(x, d)
			}
		}
		r.Start(time.Now(), nil)
		hardNAT(r)
		r.run(0)
		var got []heard
		r.pattern(&got, sampleServer)
		r.run(time.Second)
		if len(got) != 1 || got[0].at != 400*time.Millisecond || !slices.Equal(got[0].pattern.Ports, []uint16{21000, 21002, 21004}) {
			t.Errorf("heard %v", got)
		}
		r.counts(map[Refusal]int{RefusedSocket: 1})
	})
}

// A sample that was under way when the network changed answers those who wait, but
// nobody later.
func TestPortSampleStale(t *testing.T) {
	var m memory
	inRig(t, withSockets(&m, newSides()), func(r *rig) {
		answers(t, &m, 100*time.Millisecond)
		r.Start(time.Now(), nil)
		hardNAT(r)
		r.run(0)
		var got []heard
		r.pattern(&got, sampleServer)
		r.run(50 * time.Millisecond)
		r.NetworkChanged(time.Now())
		r.run(50 * time.Millisecond)
		hardNAT(r)
		r.pattern(&got, sampleServer)
		r.run(100 * time.Millisecond)
		if len(got) != 2 || got[1].at != 200*time.Millisecond || m.opened != 2*address.MaxPorts {
			t.Errorf("heard %v of %d sockets", got, m.opened)
		}
		r.NetworkChanged(time.Now())
		hardNAT(r)
		r.pattern(&got, sampleServer)
		r.run(time.Second)
		if m.opened != 3*address.MaxPorts {
			t.Error("a sample outlives a change of the network")
		}
	})
}

// Where ports tell nothing, or cannot be sampled, the answer comes at once.
func TestPortSampleNotNeeded(t *testing.T) {
	cases := map[string]struct {
		hard, sockets bool
		server        netip.AddrPort
		want          address.MappingBehavior
	}{
		"easy NAT":   {false, true, sampleServer, address.MappingUnknown},
		"no sockets": {true, false, sampleServer, address.MappingAddressAndPortDependent},
		"no server":  {true, true, netip.AddrPort{}, address.MappingAddressAndPortDependent},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var m memory
			change := withSockets(&m, newSides())
			if !c.sockets {
				change = nil
			}
			inRig(t, change, func(r *rig) {
				r.Start(time.Now(), nil)
				if c.hard {
					hardNAT(r)
				}
				var got []heard
				r.pattern(&got, c.server)
				if len(got) != 1 || got[0].pattern.Mapping != c.want || got[0].pattern.Ports != nil || m.opened != 0 {
					t.Errorf("heard %v", got)
				}
			})
		})
	}
}

// The end of the edge ends a sample.
func TestPortSampleEnds(t *testing.T) {
	var m memory
	inRig(t, withSockets(&m, newSides()), func(r *rig) {
		r.Start(time.Now(), nil)
		hardNAT(r)
		r.run(0)
		r.pattern(new([]heard), sampleServer)
		r.run(time.Millisecond)
	})
	if len(m.open) != 0 {
		t.Errorf("%d sockets are left", len(m.open))
	}
}
