package integration

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
)

// printed runs one of our commands and returns the lines that it prints.
func (w *town) printed(h *lab.Host, argv ...string) []string {
	w.t.Helper()
	out, err := h.Command(w.ctx, argv...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return strings.Split(string(out), "\n")
}

// hears reports whether an address answers a host's ping in time.
func (w *town) hears(from *lab.Host, to string, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(w.ctx, within)
	defer cancel()
	_, err := from.Ping(ctx, netip.MustParseAddr(to))
	return err == nil
}

// Customers of a provider see the provider's LAN and not each other: three sites of one
// community, whose file names one of them as its hub, as an operator makes it. Hosts of the
// leaves reach the hub's host at the first ping, and each other neither by ARP nor when
// they know their hardware addresses. When the line is taken out of the file they do.
func TestIsolatedSites(t *testing.T) {
	w := newTown(t, 120*time.Second)
	names := []string{"provider", "first", "second"}
	var sites []*site
	for i, name := range names {
		sites = append(sites, w.site(w.home(name, i+1, lab.PortRestricted), i+1, 1500))
	}
	file := filepath.Join(w.Dir, "community")
	w.printed(sites[0].host, programs.Edge, "keygen", "--community", "town", "-o", file)
	w.identify(names[0])
	id := w.printed(sites[0].host, programs.Edge, "identity", "-c", "town", "--state-dir", filepath.Join(w.Dir, names[0]))[1]
	open, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(string(open)+"hubs = "+id+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sites {
		s.edge = w.start(s.host, "--community-file", file, "-l", overIPv4, "--bridge", "br0")
	}
	for i, s := range sites {
		w.await(s.edge.Program, "ready")
		for end := time.Now().Add(answerWithin); s.edge.status().Ethernet.Segment.State == "listening" || len(s.edge.status().Notes) > 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s says %q", names[i], s.edge.status().Notes)
			}
		}
		if role := s.edge.status().Ethernet.Role; role != []string{"hub", "leaf", "leaf"}[i] {
			t.Errorf("%s is a %s", names[i], role)
		}
	}
	station := func(i int) *lab.Host { return sites[i].station.Host }
	address := func(i int) string { return fmt.Sprintf("10.50.0.%d", i+1) }
	for _, pair := range [][2]int{{1, 0}, {0, 2}, {2, 0}, {0, 1}} {
		if !w.hears(station(pair[0]), address(pair[1]), 3*time.Second) {
			t.Errorf("%s does not hear %s", names[pair[0]], names[pair[1]])
		}
	}
	mac := w.link(station(2), overlay).Address
	for range 3 {
		if w.hears(station(1), address(2), time.Second) {
			t.Error("one leaf's host hears another's")
		}
		w.sh(station(1), fmt.Sprintf("ip neigh replace %s lladdr %s dev %s", address(2), mac, overlay))
	}
	for i := range 2 {
		reached := w.printed(sites[i+1].host, programs.Edge, "peers", "--control", sites[i+1].edge.Socket)
		if !slices.ContainsFunc(reached, func(l string) bool { return strings.Contains(l, "a hub of the community") }) {
			t.Errorf("no hub is shown: %q", reached)
		}
	}
	w.sh(station(1), "ip neigh flush dev "+overlay)
	if err := os.WriteFile(file, open, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range sites {
		if err := s.edge.Signal(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(answerWithin); !w.hears(station(1), address(2), time.Second); {
		if time.Now().After(end) {
			t.Fatal("without hubs the hosts do not hear each other")
		}
	}
}
