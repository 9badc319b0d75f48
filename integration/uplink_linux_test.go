package integration

import (
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// A host has two providers, and the line of the one that its default route prefers is dead
// behind a router that goes on to answer. The edge goes by the other one, says so, and goes
// by the first again when it serves.
func TestDeadProvider(t *testing.T) {
	t.Parallel()
	w := newTown(t, 4*time.Minute)
	router := lab.Must(w.Router("home", "198.51.100.1", lab.PortRestricted))
	host := lab.Must(router.Host("left"))
	isp := lab.Must(w.Host("isp", "203.0.113.200"))
	if err := w.Delegate(isp, "192.0.2.0/24"); err != nil {
		t.Fatal(err)
	}
	if err := w.Cable(isp, host, "192.0.2.1/24", "192.0.2.2/24"); err != nil {
		t.Fatal(err)
	}
	w.sh(isp, "sysctl -qw net.ipv4.ip_forward=1; ip route del local 192.0.2.0/24 dev lo")
	w.sh(host, "ip route add default via 192.0.2.1 dev isp metric 500; sysctl -qw net.ipv4.conf.all.rp_filter=2")
	left := w.join(host, overIPv4)
	right := w.join(w.home("right", 2, lab.PortRestricted), overIPv4)
	right.meet(left.addr(), 5*time.Second)
	if n := left.status().Notes; len(n) > 0 {
		t.Errorf("notes %q before anything has happened", n)
	}

	line := &lab.Host{Namespace: router.Namespace}
	w.sh(line, "nft 'add table ip dead; add chain ip dead out { type filter hook forward priority -10; policy drop; }'")
	cut := time.Now()
	if err := left.noteWithin("answers by isp, and not by the interface of the preferred route", 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	t.Logf("by the other provider after %v", time.Since(cut).Round(time.Second))
	right.meet(left.addr(), 10*time.Second)

	w.sh(line, "nft delete table ip dead")
	healed := time.Now()
	for s := left.status(); s.Supernodes[0].State != control.StateRegistered || strings.Contains(strings.Join(s.Notes, " "), "answers by isp"); s = left.status() {
		if time.Since(healed) > time.Minute {
			t.Fatalf("it does not go by the first one again: %+v", s)
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Logf("by the first one again after %v", time.Since(healed).Round(time.Second))
	right.meet(left.addr(), 5*time.Second)
}
