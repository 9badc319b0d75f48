package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hedgerow/edge/control"
	"hedgerow/edge/netcheck"
	"hedgerow/internal/cli"
	"hedgerow/internal/render"
)

// behindNAT is what a home network looks like.
func behindNAT() control.Netcheck {
	hairpin := false
	return control.Netcheck{
		IPv4: control.Underlay{Address: "192.168.1.20", Interface: "wlan0", Public: []string{"198.51.100.4"}},
		NAT: &control.NAT{
			Present: true, Mapping: "address-and-port-dependent", Filtering: control.FilteringClosed, Ports: control.PortsSequential,
			Sample: []uint16{40001, 40002, 40003, 40004, 40005, 40006, 40007}, Hairpin: &hairpin,
		},
		PortMapping: &control.PortMapping{Router: "192.168.1.1", Protocols: []control.MappingProtocol{
			{Name: "PCP", Problem: "no router answers"},
			{Name: "NAT-PMP", Speaks: true, Problem: "router at 192.168.1.1 refuses (not authorised)"},
			{Name: "UPnP", Speaks: true, External: "198.51.100.4:7777"},
		}},
		Servers: []control.ServerReach{
			{
				Name: "vps.example:7654",
				UDP: []control.UDPReach{
					{Address: "203.0.113.10:7654", Sent: 10, RTTms: ms(23.4), MTU: 1492},
					{Address: "[2001:db8::10]:7654", Sent: 10, Lost: 10},
				},
				TLS: []control.StreamReach{{Port: 443, OpenMS: ms(31)}, {Port: 7654, Problem: "connection refused"}},
			},
			{Name: "stun.invalid:3478", Problem: "cannot be resolved: no such host"},
		},
		Verdict: "the NAT gives every destination another port", Advice: []string{"IPv6: it needs no NAT", "a TURN server nearby"},
	}
}

// netcheckWith runs "edge netcheck" with a report and returns what was asked for.
func netcheckWith(t *testing.T, r control.Netcheck, env map[string]string, args ...string) (asked netcheck.Config, out, errs string, code cli.Code) {
	t.Helper()
	cmd := testCommand(env)
	cmd.probe = func(_ context.Context, cfg netcheck.Config) control.Netcheck { asked = cfg; return r }
	code = cmd.run(t.Context(), append([]string{program, "netcheck"}, args...))
	return asked, cmd.streams.Out.(*strings.Builder).String(), cmd.streams.Err.(*strings.Builder).String(), code
}

func TestNetcheck(t *testing.T) {
	for _, form := range []string{"text", "json"} {
		args := []string{"-l", "vps.example:7654", "--stun", "stun.invalid"}
		if form == "json" {
			args = append(args, "--json")
		}
		asked, out, errs, code := netcheckWith(t, behindNAT(), nil, args...)
		if code != cli.OK || errs != "" {
			t.Errorf("%d, %s", code, errs)
		}
		if want := []netcheck.Server{{Name: "vps.example:7654", Host: "vps.example", Port: 7654}}; !slices.Equal(asked.Supernodes, want) {
			t.Errorf("%+v", asked.Supernodes)
		}
		if want := []netcheck.Server{{Name: "stun.invalid", Host: "stun.invalid", Port: 3478}}; !slices.Equal(asked.STUN, want) {
			t.Errorf("%+v", asked.STUN)
		}
		if asked.Dial == nil || asked.Map == nil || asked.Host.Open == nil {
			t.Error("something is not tried")
		}
		var text strings.Builder
		if err := render.Netcheck(&text, behindNAT()); err != nil {
			t.Fatal(err)
		}
		if form == "json" {
			golden(t, "netcheck.json", []byte(out))
		} else if out != text.String() {
			t.Errorf("%q, want %q", out, text.String())
		}
	}
}

// Where no server answers, that is the exit code.
func TestNetcheckWithoutAnswer(t *testing.T) {
	nothing := control.Netcheck{
		Servers: []control.ServerReach{{Name: "203.0.113.10:7654", UDP: []control.UDPReach{{Address: "203.0.113.10:7654", Sent: 10, Lost: 10}}}},
		Verdict: "no server answers", Advice: []string{"check"},
	}
	_, out, errs, code := netcheckWith(t, nothing, nil, "-l", "203.0.113.10:7654")
	if code != cli.Unreachable || errs != "edge: no server answered.\n" || !strings.Contains(out, "verdict     no server answers\n") {
		t.Errorf("%d, %s, %s", code, errs, out)
	}
}

// The running edge says which supernodes there are, unless the user does.
func TestNetcheckServers(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"RUNTIME_DIRECTORY": dir, "STATE_DIRECTORY": dir}
	if len(cli.ThisPlace(program).Sockets()) == 0 { // those of real edges would count
		_, _, errs, code := netcheckWith(t, behindNAT(), env)
		if code != cli.Usage || !strings.Contains(errs, "no supernode to ask, and no edge is running here that has one: name one with -l HOST:PORT") {
			t.Errorf("%d, %s", code, errs)
		}
		if asked, _, errs, code := netcheckWith(t, behindNAT(), env, "--stun", "stun.example"); code != cli.OK || len(asked.STUN) != 1 || len(asked.Supernodes) != 0 {
			t.Errorf("%d, %s, %+v", code, errs, asked)
		}
	}
	path := filepath.Join(dir, "n.sock")
	serveAt(t, path, control.Handler(shown{}))
	asked, _, errs, code := netcheckWith(t, behindNAT(), env, "--control", path)
	if code != cli.OK || len(asked.Supernodes) != 2 || asked.Supernodes[1].Host != "vps2.example" {
		t.Errorf("%d, %s, %+v", code, errs, asked.Supernodes)
	}
	for want, args := range map[string][]string{
		"no edge is running at ":                            {"--control", filepath.Join(dir, "none.sock")},
		"-l here: the port is missing":                      {"-l", "here"},
		"--http-proxy is not the address of a proxy":        {"-l", "h:1", "--http-proxy", "ftp://x"},
		"-l was given 9 times: 8 supernodes are the most":   slices.Repeat([]string{"-l", "h:1"}, 9),
		`unexpected argument "vps": options after it would`: {"vps"},
		"--stun was given 9 times: 8 servers are the most":  append(slices.Repeat([]string{"--stun", "h"}, 9), "-l", "h:1"),
	} {
		if _, _, errs, code := netcheckWith(t, behindNAT(), env, args...); code == cli.OK || !strings.Contains(errs, want) {
			t.Errorf("%v: %d, %s", args, code, errs)
		}
	}
}
