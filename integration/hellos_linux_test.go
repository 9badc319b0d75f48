package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// helloTime is for how long two routers say nothing but their hellos, and helloWhole that
// with -whole.
const (
	helloTime  = 25 * time.Second
	helloWhole = 20 * time.Minute
)

// Routers of two LANs whose only frames are OSPF hellos stay neighbours: no neighbour is
// lost, and nothing but the routers keeps the bridges' sessions.
//
//	go test ./integration -run TestHellosAlone -whole -timeout 25m
func TestHellosAlone(t *testing.T) {
	t.Parallel()
	bird := lab.Program(t, "bird", "bird2")
	long := helloTime
	if *whole {
		long = helloWhole
	}
	w := newTown(t, long+2*time.Minute)
	left, right := w.site(w.home("left", 1, lab.PortRestricted), 1, 1500), w.site(w.home("right", 2, lab.PortRestricted), 2, 1500)
	var routers []*ospfRouter
	for i, s := range []*site{left, right} {
		w.sh(s.station.Host, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
		w.joinBridge(s)
		routers = append(routers, w.ospf(bird, s, i+1))
	}
	for _, r := range routers {
		w.eventually("the routers are adjacent", r.full)
	}
	before := left.edge.status().Drops
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(time.Second) {
		for _, r := range routers {
			if !r.full() {
				t.Fatalf("%s has lost its neighbour", r.name)
			}
		}
	}
	for _, r := range routers {
		t.Logf("%s in %v: %d changes of its neighbour's state after it was full", r.name, long, r.lost())
		if n := r.lost(); n != 0 {
			t.Errorf("%s has lost its neighbour %d times", r.name, n)
		}
	}
	t.Logf("dropped by the left edge meanwhile: %v", rig.Grown(before, left.edge.status().Drops))
}

// ospfRouter is a router on a LAN.
type ospfRouter struct {
	w         *town
	name, dir string
	host      *lab.Host
}

// ospf starts a router on the station of a site.
func (w *town) ospf(bird string, s *site, number int) *ospfRouter {
	w.t.Helper()
	r := &ospfRouter{w: w, name: s.station.Name, dir: w.t.TempDir(), host: s.station.Host}
	conf := fmt.Sprintf(`log "%s/log" all;
router id 10.0.0.%d;
protocol device { }
protocol ospf v2 lan {
	debug { states };
	ipv4 { export none; };
	area 0 { interface "%s" { type broadcast; hello 10; wait 10; dead 40; }; };
}
`, r.dir, number, overlay)
	must(w.t, os.WriteFile(filepath.Join(r.dir, "bird.conf"), []byte(conf), 0o600))
	w.watch(lab.Must(w.Run(w.ctx, r.host, "bird-"+r.name, "", bird, "-f", "-c", filepath.Join(r.dir, "bird.conf"), "-s", filepath.Join(r.dir, "ctl"))))
	return r
}

// full reports whether the router has one neighbour, and is adjacent to it.
func (r *ospfRouter) full() bool {
	out, err := r.host.Command(r.w.ctx, "birdc", "-s", filepath.Join(r.dir, "ctl"), "show", "ospf", "neighbors").CombinedOutput()
	return err == nil && strings.Count(string(out), "10.0.0.") == 1 && strings.Contains(string(out), "Full/")
}

// lost returns how often the neighbour's state has changed since it was full.
func (r *ospfRouter) lost() (n int) {
	r.w.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "log"))
	must(r.w.t, err)
	return strings.Count(string(b), "changed state from Full to")
}
