package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"hedgerow/internal/cli"
)

// asks sends a request and returns the answer.
func asks(t *testing.T, url string) (code int, body string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// TestHTTP: what monitors see is what 'supernode health' says, also of a second port that
// is not free; and clients that say nothing keep others waiting for a few seconds at most.
func TestHTTP(t *testing.T) {
	dir, port := t.TempDir(), strconv.Itoa(freePort(t))
	term, stop := serve(t, dir, "-p", "0", "--http", ":"+port, "--tls-listen", "off")
	base := "http://127.0.0.1:" + port
	if !strings.Contains(term.out.String(), base+"/metrics") || complains(term.err.String()) {
		t.Errorf("said %q and %q", term.out.String(), term.err.String())
	}
	if code, body := asks(t, base+"/metrics"); code != 200 || !strings.Contains(body, "\nsupernode_leases{state=\"here\"} 0\n") || !strings.Contains(body, "\nsupernode_datagrams_total{dir=\"in\"} ") {
		t.Errorf("/metrics: %d, %s", code, body)
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if code, body := asks(t, base+path); code != 200 || body != want {
			t.Errorf("%s: %d, %q", path, code, body)
		}
	}
	for range 50 { // more than there are places, all silent
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if ask := newTerminal(dir); ask.run(t.Context(), "health") != cli.OK {
		t.Errorf("by the control socket: %s", ask.err.String())
	}
	if code := stop(); code != cli.OK {
		t.Errorf("exit code %d: %s", code, term.err.String())
	}
}

// A second port that another process has is no reason not to start, and is one not to be
// well.
func TestHealthOfMissingPort(t *testing.T) {
	taken, first := takenPair(t)
	defer taken.Close()
	dir, port := t.TempDir(), strconv.Itoa(freePort(t))
	_, stop := serve(t, dir, "-p", first, "--http", "127.0.0.1:"+port, "--tls-listen", "off")
	defer stop()
	ask := newTerminal(dir)
	if code := ask.run(t.Context(), "health"); code != cli.Failure || !strings.Contains(ask.out.String(), "the second UDP port, ") {
		t.Errorf("health: %d, %s", code, ask.out.String())
	}
	if code, body := asks(t, "http://127.0.0.1:"+port+"/healthz"); code != 503 || body != ask.out.String() {
		t.Errorf("/healthz: %d, %q, health says %q", code, body, ask.out.String())
	}
	ready := "http://127.0.0.1:" + port + "/readyz"
	for code, _ := asks(t, ready); code == 503; code, _ = asks(t, ready) { // it has only begun
		time.Sleep(10 * time.Millisecond)
	}
	if code, body := asks(t, ready); code != 200 || body != "ready\n"+ask.out.String() {
		t.Errorf("/readyz: %d, %q", code, body)
	}
}

// takenPair returns a UDP port that is free, and a socket that has the one that goes with
// it.
func takenPair(t *testing.T) (taken net.PacketConn, first string) {
	t.Helper()
	for range portTries {
		free, err := net.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		number := uint16(free.LocalAddr().(*net.UDPAddr).Port)
		taken, err = net.ListenPacket("udp", ":"+strconv.Itoa(int(usualSecond(number))))
		_ = free.Close()
		if err == nil {
			return taken, strconv.Itoa(int(number))
		}
	}
	t.Fatal("no two ports are free")
	return nil, ""
}

func TestHTTPFaults(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	used := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	for at, want := range map[string]string{
		"host:9654": "is not an address with a port", "127.0.0.1": "is not an address", ":0": "is not an address", "70000": "is not an address",
		used: "TCP port " + used + " is taken by another process. Choose another place with --http ADDR:PORT.", "192.0.2.1:9654": "192.0.2.1 is no address of this host",
	} {
		term := newTerminal(t.TempDir())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if code := term.run(ctx, "-p", "0", "--tls-listen", "off", "--http", at); code == cli.OK || !strings.Contains(term.err.String(), want) {
			t.Errorf("%s: %d, %s", at, code, term.err.String())
		}
		cancel()
	}
	// Others are warned of.
	dir := t.TempDir()
	term, stop := serve(t, dir, "-p", "0", "--tls-listen", "off", "--http", "0.0.0.0:"+strconv.Itoa(freePort(t)))
	defer stop()
	if !strings.Contains(term.err.String(), "keep strangers out") {
		t.Errorf("said %q", term.err.String())
	}
}
