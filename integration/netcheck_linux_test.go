package integration

import (
	"context"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// netcheckWithin is how long the command may take, with the start of a process on
// a machine that is busy.
const netcheckWithin = 8 * time.Second

// netcheckTries is how often it runs at most.
const netcheckTries = 4

// netcheck runs "edge netcheck" on a host. A run in which the machine stood still is
// repeated: the command has to take an answer that is late for none.
func (w *town) netcheck(t *testing.T, h *lab.Host, more ...string) (r control.Netcheck, code int) {
	t.Helper()
	for try := 1; ; try++ {
		began := time.Now()
		r, code = w.netcheckOnce(t, h, more...)
		now := time.Now()
		t.Logf("%s after %v", r.Verdict, now.Sub(began))
		took := machine.between(began, now)
		if took > netcheckWithin {
			t.Errorf("it took %v", took)
		}
		if took == now.Sub(began) || try == netcheckTries {
			return r, code
		}
	}
}

func (w *town) netcheckOnce(t *testing.T, h *lab.Host, more ...string) (r control.Netcheck, code int) {
	t.Helper()
	out, errs, code := w.run(t, w.ctx, h, append([]string{"netcheck", "--json"}, more...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	return r, code
}

// run runs a sub-command of edge on a host to its end.
func (w *town) run(t *testing.T, ctx context.Context, h *lab.Host, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := h.Command(ctx, append([]string{programs.Edge}, args...)...)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil {
		exit, ended := err.(*exec.ExitError)
		if !ended || ctx.Err() != nil {
			t.Fatalf("%v: %v, %v\n%s%s", args, err, ctx.Err(), &o, &e)
		}
		code = exit.ExitCode()
	}
	return o.String(), e.String(), code
}

// What each kind of NAT is, by how the lab makes it, is what the command finds.
func TestNetcheckKinds(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	w.supernode("other", "203.0.113.2")
	const (
		independent = "endpoint-independent"
		address     = "address-dependent"
		both        = "address-and-port-dependent"
	)
	for i, tt := range []struct {
		kind                        lab.Kind
		mapping, filtering, hairpin string
		ports                       []string // any of these
		verdict                     string
	}{
		{lab.PortRestricted, independent, both, "no", []string{control.PortsKept}, "most peers"},
		{lab.AddressRestricted, independent, control.FilteringOpen, "no", []string{control.PortsKept}, "every peer"},
		{lab.EndpointIndependent, independent, control.FilteringOpen, "no", []string{control.PortsKept}, "every peer"},
		{lab.EndpointIndependentHairpin, independent, control.FilteringOpen, "yes", []string{control.PortsKept}, "every peer"},
		{lab.OpenInput, independent, both, "no", []string{control.PortsKept}, "most peers"},
		{lab.PortReplacing, independent, both, "no", []string{control.PortsRandom}, "most peers"},
		{lab.PortReplacingHairpin, independent, both, "yes", []string{control.PortsRandom}, "most peers"},
		{lab.AddressDependent, address, both, "", []string{control.PortsRandom}, "whose NAT keeps one port"},
		{lab.SymmetricSequential, both, both, "", []string{control.PortsSequential}, "in sequence"},
		{lab.SymmetricBlock(lab.DefaultBlock), both, both, "", []string{control.PortsBlock}, "whose NAT keeps one port"},
		{lab.SymmetricRandom, both, both, "", []string{control.PortsRandom}, "whose NAT keeps one port"},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			h := w.home(homeName(i), i+1, tt.kind)
			r, code := w.netcheck(t, h, "-l", overIPv4, "-l", "203.0.113.2:7654")
			n := r.NAT
			if code != 0 || n == nil {
				t.Fatalf("code %d, %+v", code, r)
			}
			hairpin := ""
			if n.Hairpin != nil {
				hairpin = map[bool]string{true: "yes", false: "no"}[*n.Hairpin]
			}
			if !n.Present || n.Mapping != tt.mapping || n.Filtering != tt.filtering || hairpin != tt.hairpin || !slices.Contains(tt.ports, n.Ports) {
				t.Errorf("%+v, hairpin %q", n, hairpin)
			}
			if !strings.Contains(r.Verdict, tt.verdict) {
				t.Errorf("%q", r.Verdict)
			}
			if u := r.IPv4; u.Address != h.Addr().String() || u.Interface != lab.HostLink || len(u.Public) != 1 {
				t.Errorf("%+v", u)
			}
			for _, s := range r.Servers {
				if len(s.UDP) != 1 || s.UDP[0].Lost > 0 || s.UDP[0].MTU != 1500 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

func homeName(i int) string { return "home" + string(rune('a'+i)) }

// Where UDP is blocked TLS is found, and where both are, nothing.
func TestNetcheckBlocked(t *testing.T) {
	t.Parallel()
	w, inside, _ := streamTown(t, ":443")
	rejected := w.home("rejected", 2, lab.UDPBlockedReject)
	for _, h := range []*lab.Host{inside, rejected} {
		r, code := w.netcheck(t, h, "-l", overIPv4)
		if code != 0 || !strings.HasPrefix(r.Verdict, "UDP is blocked: everything goes by TLS") || r.NAT != nil {
			t.Errorf("%s: code %d, %q, %+v", h.Name(), code, r.Verdict, r.NAT)
		}
		tls := r.Servers[0].TLS
		if len(tls) != 2 || tls[0].OpenMS == nil || tls[1].OpenMS != nil || tls[1].Problem == "" {
			t.Errorf("%s: %+v", h.Name(), tls)
		}
	}
	const unreachable = 5
	if _, errs, code := w.run(t, w.ctx, inside, "netcheck", "-l", "203.0.113.99:7654"); code != unreachable || errs != "edge: no server answered.\n" {
		t.Errorf("code %d, %s", code, errs)
	}
}

// A public host with both families, and a path that swallows long packets.
func TestNetcheckPublic(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	h := lab.Must(w.Host("public", "203.0.113.50", "2001:db8:1::50"))
	r, code := w.netcheck(t, h, "-l", overIPv4, "-l", overIPv6)
	if code != 0 || r.NAT == nil || r.NAT.Present || r.NAT.Filtering != control.FilteringOpen || !strings.HasPrefix(r.Verdict, "no NAT: ") {
		t.Errorf("code %d, %q, %+v", code, r.Verdict, r.NAT)
	}
	if !slices.Equal(r.IPv4.Public, []string{"203.0.113.50"}) || !slices.Equal(r.IPv6.Public, []string{"2001:db8:1::50"}) {
		t.Errorf("%+v, %+v", r.IPv4, r.IPv6)
	}
	for _, s := range r.Servers {
		if s.UDP[0].MTU != 1500 || s.UDP[0].RTTms == nil {
			t.Errorf("%+v", s)
		}
	}
	if err := w.Internet().SetSizeHole(1440, lab.UDP); err != nil {
		t.Fatal(err)
	}
	r, _ = w.netcheck(t, h, "-l", overIPv4)
	if mtu := r.Servers[0].UDP[0].MTU; mtu != 1440 {
		t.Errorf("1440 bytes pass, it says %d", mtu)
	}
}

// A running edge is asked for its supernodes, and goes on undisturbed.
func TestNetcheckBesideAnEdge(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	m := w.join(w.home("left", 1, lab.PortRestricted), overIPv4)
	m.addr()
	r, code := w.netcheck(t, m.Host, "--control", m.Socket)
	if code != 0 || len(r.Servers) != 1 || r.Servers[0].Name != overIPv4 {
		t.Errorf("code %d, %+v", code, r.Servers)
	}
	if r.NAT == nil || r.NAT.Mapping != control.MappingOneServer {
		t.Errorf("%+v", r.NAT)
	}
	if s := m.status().Supernodes[0]; s.State != "registered" {
		t.Errorf("the edge is %s", s.State)
	}
}
