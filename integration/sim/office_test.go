package sim

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// An office of 30 edges behind one address talks to one edge elsewhere, all from the
// same moment on: what is sent to one address is limited, and yet each of them has its
// direct path within a minute and a half.
func TestOfficeBehindOneAddress(t *testing.T) {
	for _, tt := range some(
		officeCase{"port-restricted and port-restricted", nattest.PortRestricted, behind(nattest.PortRestricted)},
		officeCase{"port-restricted and public", nattest.PortRestricted, public4},
		officeCase{"restricted and port-restricted", restricted, behind(nattest.PortRestricted)},
		officeCase{"restricted and public", restricted, public4},
	) {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { officeAndOne(t, tt.office, tt.one) })
		})
	}
}

// officeCase is the router of the office, and where the one edge is.
type officeCase struct {
	name   string
	office nattest.Behavior
	one    func(*nattest.Internet, int) *nattest.Host
}

func officeAndOne(t *testing.T, b nattest.Behavior, place func(*nattest.Internet, int) *nattest.Host) {
	w := New(t, 5)
	defer w.Close()
	s := w.Supernode(supernodeAddr)
	defer s.Stop()
	one := w.Edge(place(w.Net, 1), Options{Name: "one", Supernodes: []*Supernode{s}})
	defer one.Stop()
	router := w.Net.Router(netip.MustParseAddr("198.51.100.1"), b)
	var office []*Edge
	for i := range 30 {
		e := w.Edge(router.Host(netip.AddrFrom4([4]byte{192, 168, 1, byte(2 + i)})), Options{Name: fmt.Sprint("office ", i), Supernodes: []*Supernode{s}})
		defer e.Stop()
		office = append(office, e)
	}
	time.Sleep(2 * time.Second)
	direct := 0
	for range 90 {
		for _, e := range office {
			e.Send(one.MAC, number(1))
			one.Send(e.MAC, number(2))
		}
		time.Sleep(time.Second)
		direct = 0
		for _, e := range office {
			if pathTo(t, one, e) == control.PathDirect && pathTo(t, e, one) == control.PathDirect {
				direct++
			}
		}
		if testing.Verbose() {
			t.Logf("%d direct", direct)
		}
	}
	if direct != len(office) {
		t.Errorf("%d of %d paths are direct", direct, len(office))
	}
}
