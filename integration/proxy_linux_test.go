package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
)

// questions returns what an edge has done about questions for addresses.
func (m *member) questions() control.AddressTotals {
	m.town.t.Helper()
	f, err := m.town.FDB(m.town.ctx, m.Program)
	if err != nil || f.Totals.Addresses == nil {
		m.town.t.Fatalf("%s: %+v, %v", m.Name, f.Totals, err)
	}
	return *f.Totals.Addresses
}

// neighbour returns what a station's kernel knows of an address.
func (s *site) neighbour(address string) string {
	return s.station.town.sh(s.station.Host, "ip neigh show "+address+" dev "+overlay)
}

// write has a station send a datagram to an address, and returns what its kernel knows of
// the address once that is true.
func (s *site) write(address, what string, holds func(neighbour string) bool) (got string) {
	w := s.station.town
	w.eventually(address+" "+what, func() bool {
		err := s.station.Host.Do(func() error {
			conn, err := net.Dial("udp", net.JoinHostPort(address, "9"))
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte("is anybody there?"))
			return err
		})
		got = s.neighbour(address)
		return holds(got) || err != nil && holds("FAILED")
	})
	return got
}

// The kernels of two hosts behind bridges find each other by ARP and IPv6 neighbour
// discovery, and the edge of the one that asks answers when it knows: with the right
// hardware address, and as a router if the other one is one. An address that is taken is
// found to be, and a host that is gone as well.
func TestSuppression(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	left, right := w.sites(1500)
	w.sh(right.station.Host, "sysctl -qw net.ipv6.conf.all.forwarding=1")
	for _, family := range []string{"ipv4", "ipv6"} { // hosts doubt what they know after 15 to 45 s: sooner here
		w.sh(left.station.Host, fmt.Sprintf("sysctl -qw net.%[1]s.neigh.%[2]s.base_reachable_time_ms=1000 net.%[1]s.neigh.%[2]s.delay_first_probe_time=1", family, overlay))
	}
	for n, s := range []*site{left, right} {
		w.sh(s.station.Host, fmt.Sprintf("sysctl -qw net.ipv6.conf.%[1]s.accept_dad=1 net.ipv6.conf.%[1]s.dad_transmits=1 net.ipv6.conf.%[1]s.disable_ipv6=0; ip addr add fd50::%[2]d/64 dev %[1]s", overlay, n+1))
	}
	w.eventually("the addresses are nobody else's", func() bool {
		return !strings.Contains(w.sh(left.station.Host, "ip -6 addr show dev "+overlay)+w.sh(right.station.Host, "ip -6 addr show dev "+overlay), "tentative")
	})
	mac := w.link(right.station.Host, overlay).Address
	known := func(n string) bool { return strings.Contains(n, "lladdr") && !strings.Contains(n, "FAILED") }
	for _, address := range []string{"10.50.0.2", "fd50::2"} {
		left.write(address, "is found", known)
		// The flags of who has only asked so far are known when it has answered for once.
		before := left.edge.questions()
		w.sh(left.station.Host, "ip neigh flush dev "+overlay)
		got := left.write(address, "is found again", known)
		if after := left.edge.questions(); after.Answered == before.Answered {
			t.Errorf("%s: nothing was answered by the edge: %+v, then %+v", address, before, after)
		}
		if !strings.Contains(got, mac) || strings.Contains(got, "router") != strings.Contains(address, ":") {
			t.Errorf("%s is %q, and a router at %s", address, got, mac)
		}
	}

	w.sh(left.station.Host, "ip addr add fd50::2/64 dev "+overlay)
	w.eventually("an address that is taken is found to be", func() bool {
		return strings.Contains(w.sh(left.station.Host, "ip -6 addr show dev "+overlay), "dadfailed")
	})
	w.sh(left.station.Host, "ip addr del fd50::2/64 dev "+overlay)

	w.sh(right.station.Host, "ip link set "+overlay+" down")
	gone := time.Now()
	for _, address := range []string{"10.50.0.2", "fd50::2"} {
		left.write(address, "is found to be gone", func(n string) bool { return !known(n) })
		time.Sleep(2 * time.Second) // while its kernel asks everybody, and then gives up
		if got := left.neighbour(address); known(got) {
			t.Errorf("%s is gone, and then %q", address, got)
		}
	}
	t.Logf("it was gone for the other host after %v; %+v", time.Since(gone).Round(time.Second), left.edge.questions())
}
