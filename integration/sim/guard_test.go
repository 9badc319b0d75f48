package sim

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// dhcpReply is what a DHCP server broadcasts.
func dhcpReply(src protocol.MAC) []byte {
	body := make([]byte, 240)
	body[0] = 2
	return slices.Concat(protocol.Broadcast[:], src[:], []byte{8, 0, 0x45, 0, 1, 12, 0, 0, 0, 0, 64, 17, 0, 0, 10, 64, 0, 7, 255, 255, 255, 255, 0, 67, 0, 68, 0, 248, 0, 0}, body)
}

// routerAdvertisement is what a router multicasts.
func routerAdvertisement(src protocol.MAC) []byte {
	return slices.Concat([]byte{0x33, 0x33, 0, 0, 0, 1}, src[:], []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 58, 255, 0xfe, 0x80}, make([]byte, 14), []byte{0xff, 2}, make([]byte, 13), []byte{1, 134}, make([]byte, 15))
}

// TestWhoIsAccepted has a bridge and a plain edge send frames of a host, of a DHCP server
// and of a router to edges that accept different ones: the n2n way, one dhcpd on one edge
// and the others with -a dhcp, needs no option; whoever has a lease takes no answer.
func TestWhoIsAccepted(t *testing.T) {
	const host, server, router = 1, 2, 4
	for _, c := range []struct {
		name          string
		ethernet      edge.Ethernet
		address       edge.Address
		bridge, plain int // whose frames come
	}{
		{"a plain edge with a lease", edge.Ethernet{}, edge.Address{}, host, 0},
		{"a plain edge with -a dhcp", edge.Ethernet{}, none, host | server, server},
		{"a bridge", edge.Ethernet{Bridge: true}, none, host | server | router, server},
		{"a bridge with a lease", edge.Ethernet{Bridge: true}, edge.Address{}, host | server | router, 0},
		{"whoever accepts no bridges", edge.Ethernet{Accept: bridge.Policy{Bridges: bridge.Nobody}}, edge.Address{}, 0, 0},
		{"whoever accepts every router", edge.Ethernet{Accept: bridge.Policy{Routers: bridge.Everybody}}, edge.Address{}, host | router, router},
		{"whoever accepts DHCP of bridges", edge.Ethernet{Accept: bridge.Policy{DHCP: bridge.Bridges}}, none, host | server, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 101)
				sn := w.Supernode(supernodeAddr)
				var got [2]atomic.Int64
				senders := [2]*Edge{}
				for i := range senders {
					o := Options{Name: []string{"bridge", "plain"}[i], Supernodes: []*Supernode{sn}, Address: none}
					o.Ethernet.Bridge = i == 0
					senders[i] = w.Edge(behind(nattest.PortRestricted)(w.Net, i), o)
				}
				hosts := [2]protocol.MAC{{2, 0, 0, 0, 9, 1}, {2, 0, 0, 0, 9, 2}}
				e := w.Edge(behind(nattest.PortRestricted)(w.Net, 2), Options{
					Name: "receiver", Supernodes: []*Supernode{sn}, Address: c.address, Ethernet: c.ethernet,
					Deliver: func(frame []byte) {
						f := protocol.Frame(frame)
						for i := range got {
							if src := f.Src(); src != hosts[i] && src != senders[i].MAC {
								continue
							}
							what := int64(host)
							switch f.EtherType() {
							case protocol.EtherTypeIPv4:
								what = server
							case protocol.EtherTypeIPv6:
								what = router
							}
							got[i].Store(got[i].Load() | what)
						}
					},
				})
				time.Sleep(5 * time.Second)
				for range 5 {
					for i, s := range senders {
						src := hosts[i]
						s.Device.Inject(Frame(protocol.Broadcast, src, []byte("a host")))
						if i == 1 {
							src = s.MAC
						}
						s.Device.Inject(dhcpReply(src))
						s.Device.Inject(routerAdvertisement(src))
					}
					time.Sleep(time.Second)
				}
				if got[0].Load() != int64(c.bridge) || got[1].Load() != int64(c.plain) {
					t.Errorf("of the bridge came %03b, want %03b; of the plain edge %03b, want %03b", got[0].Load(), c.bridge, got[1].Load(), c.plain)
				}
				if !senders[1].says("[E25]") {
					t.Errorf("the plain edge does not say that a host is behind it: %q", senders[1].status().Notes)
				}
				for _, s := range append(senders[:], e) {
					s.Stop()
				}
				sn.Stop()
			})
		})
	}
}
