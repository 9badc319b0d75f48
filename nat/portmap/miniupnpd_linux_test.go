package portmap

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"hedgerow/integration/lab"
)

// insideEnv tells the test binary, run in a machine of the lab, what to use.
// Sockets are opened by several goroutines, so a thread in the machine is not
// enough.
const insideEnv = "PORTMAP_TEST_USE"

// patience bounds what takes the router milliseconds.
const patience = 20 * time.Second

// TestInside is the host's part of TestMiniupnpd: it maps until it is told to
// end, and writes what is reported, a line each.
func TestInside(t *testing.T) {
	use := os.Getenv(insideEnv)
	if use == "" {
		t.Skip("run by TestMiniupnpd")
	}
	cfg := Config{Port: testPort, Log: slog.New(slog.DiscardHandler)}
	for _, p := range []Protocol{PCP, NATPMP, UPnP} {
		if use != "probe" && use != "all" && string(p) != use {
			cfg.Off = append(cfg.Off, p)
		}
	}
	out := json.NewEncoder(os.Stdout)
	if use == "probe" {
		if err := out.Encode(Probe(t.Context(), cfg)); err != nil {
			t.Fatal(err)
		}
		return
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	m.Run(ctx, func(now Mapping) { out.Encode(now) })
}

// inside runs TestInside on a host and returns its first line, and how to end
// it.
func inside(t *testing.T, h *lab.Host, use string) (line []byte, end func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c := h.Command(ctx, os.Args[0], "-test.run=^TestInside$")
	c.Env = append(os.Environ(), insideEnv+"="+use)
	out := lab.Must(c.StdoutPipe())
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("%s: %q, %v", use, line, err)
	}
	return line, func() {
		defer cancel()
		if use != "probe" { // which ends by itself
			_ = c.Signal(syscall.SIGTERM)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v", use, err)
		}
	}
}

// startMiniupnpd runs Debian's miniupnpd on a router until the test ends.
func startMiniupnpd(t *testing.T, program string, r *lab.Router) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := lab.Must(r.Miniupnpd(ctx, program, t.TempDir()))
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.Wait() // killed
		if t.Failed() {
			t.Logf("miniupnpd: %s", log.String())
		}
	})
}

// Debian's router speaks all three; what it maps lets in a stranger, and nothing
// is left of it.
func TestMiniupnpd(t *testing.T) {
	lab.Require(t)
	program := lab.Program(t, "miniupnpd", "miniupnpd-nftables")
	l := lab.ForTest(t)
	// miniupnpd maps nothing at an address for documentation.
	address := netip.MustParseAddr("9.9.9.7")
	home := lab.Must(l.Router("home", address.String(), lab.PortRestricted))
	alice := lab.Must(home.Host("alice"))
	stranger := lab.Must(l.Host("stranger", "203.0.113.1"))
	startMiniupnpd(t, program, home)

	var report Report
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		line, end := inside(t, alice, "probe")
		end()
		if err := json.Unmarshal(line, &report); err != nil {
			t.Fatal(err)
		}
		if len(report.Answers) == 3 && report.Answers[2].External.IsValid() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not start: %+v", report)
		}
	}
	for _, a := range report.Answers {
		if !a.Speaks || a.External.Addr() != address || a.Problem != "" {
			t.Errorf("%+v", a)
		}
	}

	data := lab.Must(alice.ListenUDP("udp4", fmt.Sprintf("0.0.0.0:%d", testPort)))
	defer data.Close()
	from := lab.Must(stranger.ListenUDP("udp4", "203.0.113.1:0"))
	defer from.Close()
	reached := func(to netip.AddrPort, text string) bool {
		lab.Must(from.WriteToUDPAddrPort([]byte(text), to))
		buf := make([]byte, 100)
		data.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, _, err := data.ReadFromUDPAddrPort(buf)
		return err == nil && strings.HasPrefix(string(buf[:n]), text)
	}
	for _, p := range []Protocol{PCP, NATPMP, UPnP} {
		line, end := inside(t, alice, string(p))
		var m Mapping
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		if m.External.Addr() != address || m.Protocol != p || m.Problem != "" {
			t.Errorf("%s: %+v", p, m)
		}
		if !reached(m.External, "mapped by "+string(p)) {
			t.Errorf("%s: a stranger does not reach %s", p, m.External)
		}
		end()
		if err := home.Reboot(); err != nil { // forget the flow
			t.Fatal(err)
		}
		if reached(m.External, "late "+string(p)) {
			t.Errorf("%s: the mapping is left behind", p)
		}
	}
}

// A home without such a router, and one behind a carrier's NAT, say why there is
// no mapping.
func TestNoMapping(t *testing.T) {
	lab.Require(t)
	l := lab.ForTest(t)
	carrier := lab.Must(l.Carrier("carrier", "9.9.9.8", lab.PortReplacingHairpin))
	home := lab.Must(carrier.Router("home", lab.PortRestricted))
	alice := lab.Must(home.Host("alice"))
	why := func() string {
		line, end := inside(t, alice, "all")
		defer end()
		var m Mapping
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		return m.Problem
	}
	if got := why(); got != "no router answers" {
		t.Errorf("without a server: %q", got)
	}
	program := lab.Program(t, "miniupnpd", "miniupnpd-nftables")
	startMiniupnpd(t, program, home)
	for deadline := time.Now().Add(patience); ; {
		got := why()
		// It knows that its address is not public, and refuses without a word.
		if strings.HasPrefix(got, "router at 192.168.1.1 refuses (") {
			return
		}
		if got != "no router answers" || time.Now().After(deadline) {
			t.Fatalf("behind a carrier: %q", got)
		}
	}
}
