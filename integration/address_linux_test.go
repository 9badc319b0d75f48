package integration

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// Two supernodes on one host have the same ports, each on an address of its own: edges that
// come to one are not at the other. Monitors see each of them, the one on the loopback from
// the host alone.
func TestSupernodesOfOneHost(t *testing.T) {
	t.Parallel()
	w := newQuietTown(t, 60*time.Second)
	h := lab.Must(w.Host("super", superAddr))
	w.sh(h, "ip addr add "+second4+"/32 dev eth0")
	w.sh(&lab.Host{Namespace: w.Internet().Namespace}, "ip route add "+second4+" via "+superAddr)
	start := func(name, address, monitors string) *rig.Program {
		dir := filepath.Join(w.Dir, name)
		p := lab.Must(w.Run(w.ctx, h, name, dir+".sock", programs.Supernode, "-p", address+":"+superPort, "--http", monitors, "--state-dir", dir, "--control", dir+".sock"))
		w.watch(p)
		w.await(p, "listening on UDP "+address+":"+superPort)
		return p
	}
	one, two := start("one", superAddr, ":9654"), start("two", second4, second4+":9655")
	w.super = one // by which members are known
	edges := map[string]*member{
		superAddr: w.join(w.home("left", 1, lab.PortRestricted), superAddr+":"+superPort),
		second4:   w.join(w.home("right", 2, lab.PortRestricted), second4+":"+superPort),
	}
	for p, address := range map[*rig.Program]string{one: superAddr, two: second4} {
		edges[address].addr()
		st := lab.Must(w.SupernodeStatus(w.ctx, p))
		if st.Edges != 1 || st.Listen.String() != address+":"+superPort || !slices.Equal(st.Streams.Listen, []netip.AddrPort{st.Listen}) {
			t.Errorf("%s listens on %v and %+v and has %d edges", p.Name, st.Listen, st.Streams, st.Edges)
		}
	}
	ask := func(from *lab.Host, url string) string {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return from.Dial(ctx, network, address)
		}}}
		request := lab.Must(http.NewRequestWithContext(w.ctx, http.MethodGet, url, nil))
		response, err := client.Do(request)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		return response.Status + " " + string(lab.Must(io.ReadAll(response.Body)))
	}
	outside := edges[superAddr].Host
	for _, test := range []struct {
		from       *lab.Host
		path, want string
	}{
		{h, "http://127.0.0.1:9654/metrics", "\nsupernode_leases{state=\"here\"} 1\n"},
		{h, "http://127.0.0.1:9654/healthz", "200 OK ok\n"},
		{h, "http://127.0.0.1:9654/readyz", "200 OK ready\n"},
		{outside, "http://" + superAddr + ":9654/healthz", "connection refused"},
		{outside, "http://" + second4 + ":9655/healthz", "200 OK ok\n"},
	} {
		if got := ask(test.from, test.path); !strings.Contains(got, test.want) {
			t.Errorf("%s from %s: %s", test.path, test.from.Name(), got)
		}
	}
	if text := two.Log(); !strings.Contains(text, "keep strangers out") || strings.Contains(one.Log(), "keep strangers out") {
		t.Errorf("the warning is missing, or at the wrong one:\n%s", text)
	}
}
