package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/nattest"
)

// A STUN server beside the supernode shows what kind of NAT there is; so does the
// second port of a supernode alone. The server is a supernode that the edge does
// not register with.
func TestMappingByStunServer(t *testing.T) {
	for _, tc := range []struct {
		name   string
		router nattest.Behavior
		stun   bool
		want   string
	}{
		{"endpoint-independent", nattest.PortRestricted, true, address.MappingEndpointIndependent.String()},
		{"symmetric", nattest.Symmetric, true, address.MappingAddressAndPortDependent.String()},
		{"symmetric, by one host", nattest.Symmetric, false, address.MappingAddressAndPortDependent.String()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 9)
				defer w.Close()
				s, other := w.Supernode(supernodeAddr), w.Supernode(netip.MustParseAddr("203.0.113.2"))
				o := Options{Supernodes: []*Supernode{s}}
				if tc.stun {
					o.Reach.STUN = []string{other.Addr.String()}
				}
				e := w.Edge(w.Net.Router(netip.MustParseAddr("198.51.100.1"), tc.router).Host(netip.MustParseAddr("192.168.1.2")), o)
				// The reflexive address towards the supernode comes with the
				// registration, the server's with the first answer; they are
				// judged when candidates are gathered next.
				time.Sleep(31 * time.Second)
				if status := e.status(); status.Mapping != tc.want {
					t.Errorf("mapping %q, want %q; drops %v", status.Mapping, tc.want, status.Drops)
				}
				e.Stop()
				s.Stop()
				other.Stop()
			})
		})
	}
}
