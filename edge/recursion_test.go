package edge

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"hedgerow/edge/bridge"
	"hedgerow/internal/stack"
)

// leading is a host on which everything leads to one egress.
type leading struct {
	egress stack.Egress
	forgot int
}

func (l *leading) Egress(netip.Addr) stack.Egress { return l.egress }
func (l *leading) Stations() []net.HardwareAddr {
	return []net.HardwareAddr{{2, 0, 0, 0, 0, 9}, {1, 2, 3}}
}
func (l *leading) Forget() { l.forgot++ }

// TestRecursion holds what is sent where, and what the user is told: once in the log, and
// in status until it was not noticed for a minute.
func TestRecursion(t *testing.T) {
	host := &leading{}
	e := newEdge(t, func(c *Config) { c.Host.Own = Own{Stack: host, Sockets: new(bridge.Sockets)} })
	r := e.user.recursion
	server := netip.MustParseAddrPort("203.0.113.9:7654")
	for _, c := range []struct {
		egress            stack.Egress
		inside, swallowed bool
	}{{stack.Outside, false, false}, {stack.Above, true, false}, {stack.Into, true, true}} {
		host.egress = c.egress
		if got := r.inside(server.Addr()); got != c.inside {
			t.Errorf("%v: inside %v", c.egress, got)
		}
		if got := r.swallowed(noon, server, "vps"); got != c.swallowed {
			t.Errorf("%v: swallowed %v", c.egress, got)
		}
	}
	r.swallowed(noon, server, "vps")
	if notes := r.notes(noon); len(notes) != 1 || !strings.Contains(notes[0], "203.0.113.9") || !strings.Contains(notes[0], "for vps") || !strings.Contains(notes[0], "[E19]") {
		t.Errorf("status says %q", notes)
	}
	for n := range 2 * maxRecursions {
		r.noticed(noon, netip.AddrPortFrom(server.Addr(), uint16(n)), "")
	}
	if n := len(r.notes(noon)); n != maxRecursions {
		t.Errorf("%d are remembered", n)
	}
	if notes := r.notes(noon.Add(recursionShown)); len(notes) != 0 {
		t.Errorf("a minute later %q", notes)
	}
	before := host.forgot
	r.found(noon, true)
	r.found(noon, false) // of a stranger, at once
	r.found(noon.Add(lookAgain), false)
	if got := host.forgot - before; got != 2 {
		t.Errorf("looked %d times", got)
	}
}
