package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/internal/cli"
	"hedgerow/supernode/admin"
	"hedgerow/transport/stream"
)

// lastPort is the last one that freePort looked at.
var lastPort = rand.IntN(10_000)

// freePort returns a port that nobody has just now, of TCP and UDP, and that no
// system gives to whoever asks for any (Linux: 32768 to 60999). No other call
// returns it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		lastPort++
		port := 20_000 + lastPort%10_000
		l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
		if err != nil {
			continue
		}
		l.Close()
		if c, err := net.ListenUDP("udp", &net.UDPAddr{Port: port}); err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// status asks the supernode in a folder.
func status(t *testing.T, dir string) (st admin.Status) {
	t.Helper()
	ask := newTerminal(dir)
	if code := ask.run(t.Context(), "status", "--json"); code != cli.OK {
		t.Fatalf("status: %d, %s", code, ask.err.String())
	}
	if err := json.Unmarshal([]byte(ask.out.String()), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// certificateAt returns what the server at a local port shows in its handshake.
func certificateAt(t *testing.T, port uint16) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", port), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// TestStreamsByDefault has streams at the number of the UDP port, with the same
// certificate after a restart, in the lines of start and status.
func TestStreamsByDefault(t *testing.T) {
	dir := t.TempDir()
	var shown []*x509.Certificate
	for range 2 {
		server, stop := serve(t, dir, "-p", "0")
		st := status(t, dir)
		if st.Streams == nil || len(st.Streams.Listen) != 1 || st.Streams.Listen[0].Port() != st.Listen.Port() {
			t.Fatalf("%+v", st.Streams)
		}
		if want := fmt.Sprintf("streams    listening on TCP [::]:%d (TLS)\n", st.Listen.Port()); !strings.Contains(server.out.String(), want) {
			t.Errorf("%q lacks %q", server.out.String(), want)
		}
		shown = append(shown, certificateAt(t, st.Listen.Port()))
		c, err := stream.Dial(t.Context(), stream.DialConfig{Host: "127.0.0.1", Port: st.Listen.Port(), NoProxy: true, Deliver: func([]byte) {}})
		if err != nil {
			t.Fatal(err)
		}
		// It counts from a moment after the client has its answer.
		eventually(t, "the stream in the status", func() bool {
			ask := newTerminal(dir)
			return ask.run(t.Context(), "status") == cli.OK && strings.Contains(ask.out.String(), "streams     1 open  tcp [::]:")
		})
		if code := stop(); code != cli.OK || complains(server.err.String()) {
			t.Errorf("exit code %d: %s", code, server.err.String())
		}
		c.Close()
	}
	if !shown[0].Equal(shown[1]) {
		t.Error("another certificate after the restart")
	}
}

func TestStreamsOff(t *testing.T) {
	dir := t.TempDir()
	server, stop := serve(t, dir, "-p", "0", "--tls-listen", "off")
	defer stop()
	if st := status(t, dir); st.Streams != nil || strings.Contains(server.out.String(), "TCP") {
		t.Errorf("%+v, %s", st.Streams, server.out.String())
	}
}

// TestStreamsAtPlacesOfTheirOwn has two listeners and a certificate from files.
func TestStreamsAtPlacesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	own, err := stream.SelfSigned([32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one, two := freePort(t), freePort(t)
	_, stop := serve(t, dir, "-p", "0", "--tls-listen", fmt.Sprint("127.0.0.1:", one), "--tls-listen", fmt.Sprint(":", two), "--tls-cert", cert, "--tls-key", key)
	defer stop()
	if st := status(t, dir); len(st.Streams.Listen) != 2 {
		t.Errorf("%+v", st.Streams)
	}
	for _, port := range []int{one, two} {
		if !certificateAt(t, uint16(port)).Equal(own.Leaf) {
			t.Errorf("another certificate at %d", port)
		}
	}
}

func TestStreamFailures(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		env  map[string]string
		code cli.Code
		want string
	}{
		{name: "no port", args: []string{"--tls-listen", "192.0.2.1"}, code: cli.Usage, want: "neither an address with a port"},
		{name: "port 0", args: []string{"--tls-listen", ":0"}, code: cli.Usage, want: "neither"},
		{name: "name", args: []string{"--tls-listen", "localhost:443"}, code: cli.Usage, want: "neither"},
		{name: "off and on", args: []string{"--tls-listen", ":443", "--tls-listen", "off"}, code: cli.Usage, want: "off contradicts --tls-listen :443"},
		{name: "certificate alone", args: []string{"--tls-cert", file}, code: cli.Usage, want: "belong together"},
		{name: "key alone", env: map[string]string{"SUPERNODE_TLS_KEY": file}, code: cli.Usage, want: "belong together"},
		{name: "environment", env: map[string]string{"SUPERNODE_TLS_LISTEN": ":443,x"}, code: cli.Usage, want: "SUPERNODE_TLS_LISTEN x"},
		{name: "taken", args: []string{"-p", "0", "--tls-listen", ":" + port}, code: cli.Failure, want: "TCP port " + port + " is taken by another process. Choose another place with --tls-listen"},
		{name: "default taken", args: []string{"-p", port, "--second-port", "off"}, code: cli.Failure, want: "--tls-listen off"},
		{name: "not here", args: []string{"-p", "0", "--tls-listen", "192.0.2.1:443"}, code: cli.Failure, want: "192.0.2.1 is no address of this host"},
		{name: "no certificate", args: []string{"-p", "0", "--tls-cert", file, "--tls-key", file}, code: cli.Failure, want: "--tls-cert FILE"},
		{name: "no file", args: []string{"-p", "0", "--tls-cert", file + "x", "--tls-key", file}, code: cli.Failure, want: "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			term := newTerminal(t.TempDir())
			for k, v := range test.env {
				term.env[k] = v
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if code := term.run(ctx, test.args...); code != test.code || !strings.Contains(term.err.String(), test.want) {
				t.Errorf("exit code %d, want %d: %s", code, test.code, term.err.String())
			}
			if ctx.Err() != nil {
				t.Error("it went on running")
			}
		})
	}
}

func TestParseListen(t *testing.T) {
	var got []string
	for _, text := range []string{"443", ":443", "0.0.0.0:443", "[::]:443", "[2001:db8::1]:8443", "192.0.2.1:1"} {
		at, err := parseListen(text)
		if err != nil {
			t.Error(err)
		}
		got = append(got, at.String())
	}
	every := netip.AddrPortFrom(netip.IPv6Unspecified(), 443).String()
	if want := []string{every, every, "0.0.0.0:443", every, "[2001:db8::1]:8443", "192.0.2.1:1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
