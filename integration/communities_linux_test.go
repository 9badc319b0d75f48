package integration

import (
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// Two hosts are members of two communities, and no datagram passes directly between them:
// neither overlay carries the other. No candidate is an address of one, no path gets direct
// through one, and nothing of the underlay comes out of a device.
func TestNeitherOverlayCarriesTheOther(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	at := [...]string{"203.0.113.11", "203.0.113.12"}
	hosts := [...]*lab.Host{lab.Must(w.Host("left", at[0])), lab.Must(w.Host("right", at[1]))}
	blockDirect(t, w, hosts[0], hosts[1])
	var members [2][2]*member // by community and host
	for c, community := range []string{"town", "village"} {
		for i, h := range hosts {
			p := lab.Must(w.Rig.Edge(w.ctx, h, community+"-"+h.Name(), "-v", "-d", community, "-c", community, "-k", "correct horse battery staple", "-l", overIPv4))
			w.watch(p)
			members[c][i] = newMember(w, p)
		}
	}
	for until := time.Now().Add(12 * time.Second); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
		for _, m := range members {
			m[0].meet(m[1].addr(), 5*time.Second)
			m[1].meet(m[0].addr(), 5*time.Second)
			if p := m[0].path(m[1]); p == control.PathDirect {
				t.Fatalf("%s has a direct path through the other community", m[0].Name)
			}
		}
	}
	for c, m := range members {
		for i, e := range m {
			for _, other := range members[1-c] {
				for line := range strings.Lines(e.Log()) {
					if strings.Contains(line, "candidates") && strings.Contains(line, other.addr().String()) {
						t.Errorf("%s was named an address of the other overlay: %s", e.Name, line)
					}
				}
			}
			s := e.status()
			if !strings.Contains(e.Log(), at[1-i]) {
				t.Errorf("%s was not named the address of the other host", e.Name)
			}
			if n := s.Drops["own-datagram"]; n != 0 || len(s.Notes) != 0 {
				t.Errorf("%s: %d datagrams came out of its device, notes %q", e.Name, n, s.Notes)
			}
		}
	}
}
