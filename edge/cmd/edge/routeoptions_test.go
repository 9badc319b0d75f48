package main

import (
	"context"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"hedgerow/edge/control"
	"hedgerow/edge/subnet"
	"hedgerow/internal/cli"
	"hedgerow/internal/stack"
	"hedgerow/tap"
	"hedgerow/tap/taptest"
	"hedgerow/transport"
)

const routesLine = "-c mynetwork -k encryptme -l a.b.c.d:7654 "

func TestRouteOptions(t *testing.T) {
	o, errs, code := parse(t, nil, strings.Fields(routesLine+"-r 192.168.7.0/24,fd77::/48 -r 0.0.0.0/0 --accept-routes 9f3a-71c2-e0b4,10.0.0.0/8 --exit 9f3a-71c2-e0b4 --mark 0x4c --underlay-interface wan0")...)
	if runtime.GOOS != "linux" {
		for _, want := range []string{"--accept-routes and --exit are there on Linux alone, and this is ", "--mark and --underlay-interface are there on Linux alone, and this is "} {
			if code != cli.Usage || !strings.Contains(errs, want+runtime.GOOS) {
				t.Errorf("%d, %s; want %s", code, errs, want)
			}
		}
		return
	}
	if code != cli.OK {
		t.Fatal(errs)
	}
	want, _ := subnet.ParsePolicy("9f3a-71c2-e0b4,10.0.0.0/8")
	want.Exit = "9f3a71c2e0b4"
	r := o.Address.Subnets
	if !r.Accept.Equal(want) || !slices.Equal(r.Announce, []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("fd77::/48"), netip.MustParsePrefix("0.0.0.0/0")}) {
		t.Errorf("%+v", r)
	}
	if o.Nearby.Underlay != (transport.Binding{Mark: 76, Interface: "wan0"}) {
		t.Errorf("%+v", o.Nearby.Underlay)
	}
	m := &member{cmd: testCommand(nil), options: o, device: new(device)}
	if a := m.address(); a.Subnets.Table == nil || len(a.Subnets.Announce) != 3 || a.Subnets.Accept.None() {
		t.Errorf("%+v", a.Subnets)
	}
	if m.resolver() == nil || !m.overlay("eth0") || m.overlay("wan0") {
		t.Error("the underlay is not kept to its interface")
	}
	if (&member{}).resolver() != nil {
		t.Error("names are not looked up by the system")
	}
}

func TestRouteFaults(t *testing.T) {
	for line, want := range map[string]string{
		"-r -v":                       "-r -v is not a network: type those behind this edge, such as -r 192.168.7.0/24 (n2n's -r is the kernel's",
		"-r 10.0.0.1/24":              "-r 10.0.0.1/24 is a host in a network: the network is 10.0.0.0/24",
		"-r 10.0.0.0/8 -r 10.0.0.0/8": "-r 10.0.0.0/8 was given twice",
		"-r 127.0.0.0/8":              "-r 127.0.0.0/8 has addresses that nobody routes",
		"-r 0.0.0.0/1":                "-r 0.0.0.0/1 is most of the internet",
		"-r 10.0.0.0/8,":              "-r  is not a network",
		"-r 10.1.0.0/16" + strings.Repeat(",fd00::/20", 1) + many(): "-r was given 34 networks: 32 are the most",
		"--accept-routes roof":      `--accept-routes: "roof" is neither a network nor an identity`,
		"--accept-routes 0.0.0.0/0": "--accept-routes: 0.0.0.0/0 is a default route, which --exit",
		"--exit roof --mark 1":      "--exit roof is no identity such as",
		"--exit 9f3a-71c2-e0b4":     "--exit needs --mark N, such as --mark 76",
		"--mark 0":                  "--mark 0 is not a firewall mark such as 76 or 0x4c",
		"--mark much":               "--mark much is not a firewall mark",
		"--underlay-interface a-name-that-is-far-too-long": "--underlay-interface a-name-that-is-far-too-long: the name of a device has 1 to 15 bytes",
		"--bridge br0 --accept-routes all":                 "--accept-routes and --exit need an address, and a port of a bridge has none: type --bridge-address to give br0 one",
	} {
		_, errs, code := parse(t, nil, strings.Fields(routesLine+line)...)
		if code != cli.Usage || !strings.Contains(errs, want) {
			t.Errorf("%.60s: %d, %s; want %s", line, code, errs, want)
		}
	}
}

// many are 32 networks.
func many() string {
	var b strings.Builder
	for i := range 32 {
		b.WriteString("," + netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 2, byte(i), 0}), 24).String())
	}
	return b.String()
}

// Default routes go into a table of their own.
func TestDeviceRoutes(t *testing.T) {
	mem := &memoryTAP{Device: taptest.New(taptest.Options{}), name: "edge0"}
	d := &device{tapDevice: mem, stack: stack.New(1 << 30)}
	via := netip.MustParseAddr("10.64.0.3")
	err := d.SetRoutes([]subnet.Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Via: via}, {Prefix: netip.MustParsePrefix("10.9.0.0/16"), Via: via}})
	if err == nil || !strings.Contains(err.Error(), "ip rule add priority 5001 not fwmark N lookup 7655") {
		t.Errorf("without a rule: %v", err)
	}
	if want := []tap.Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Via: via, Table: exitTable}, {Prefix: netip.MustParsePrefix("10.9.0.0/16"), Via: via}}; !slices.Equal(mem.routes, want) {
		t.Errorf("%+v", mem.routes)
	}
	if !strings.Contains(exitUnused(false).Error(), "ip -6 rule add priority 5001") {
		t.Errorf("%v", exitUnused(false))
	}
	if list := d.Networks(); !slices.ContainsFunc(list, func(n subnet.Network) bool { return n.Prefix.Contains(netip.MustParseAddr("127.0.0.1")) }) {
		t.Errorf("this host has %v", list)
	}
}

// changingRoutes is an edge whose networks are others each time that it is asked for them;
// the third time the user interrupts.
type changingRoutes struct {
	shown
	n    atomic.Int32
	stop context.CancelFunc
}

func (c *changingRoutes) Routes(context.Context) (control.Routes, error) {
	r := control.Route{Prefix: "10.9.0.0/16", Edge: "roof", ID: "9f3a-71c2-e0b4", State: control.RouteUsed}
	if c.n.Add(1) > 1 {
		r.State, r.Why = control.RouteRefused, "cannot be reached now"
	}
	if c.n.Load() == 3 {
		c.stop()
	}
	return control.Routes{Routes: []control.Route{r}}, nil
}

// "edge routes" shows what there is, and with --watch what changes then.
func TestWatchRoutes(t *testing.T) {
	for args, want := range map[string]string{
		"--json":         `"state": "used"`,
		"--watch":        "+ 10.9.0.0/16  by roof  used\n> 10.9.0.0/16  by roof  refused: cannot be reached now\n",
		"--watch --json": `{"announced":null,"routes":[{"prefix":"10.9.0.0/16",`,
	} {
		path := filepath.Join(t.TempDir(), "a.sock")
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		serveAt(t, path, control.Handler(&changingRoutes{stop: stop}))
		cmd := testCommand(nil)
		code := cmd.run(ctx, append([]string{program, "routes", "--control", path}, strings.Fields(args)...))
		if out := cmd.streams.Out.(*strings.Builder).String(); code != cli.OK || !strings.Contains(out, want) {
			t.Errorf("%s: %d, %q, %s", args, code, out, cmd.streams.Err)
		}
	}
}
