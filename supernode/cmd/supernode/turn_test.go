package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"hedgerow/internal/cli"
	"hedgerow/supernode/admin"
)

func TestServeTURN(t *testing.T) {
	dir := t.TempDir()
	at := fmt.Sprint("127.0.0.1:", freePort(t))
	server, stop := serve(t, dir, "-p", "0", "--tls-listen", "off", "--turn-listen", at, "--turn-address", "203.0.113.1", "--turn-ports", "50000-50099")
	defer stop()
	if !strings.Contains(server.out.String(), "listening on UDP "+at+", edges come to 203.0.113.1") {
		t.Errorf("start-up %q", server.out.String())
	}
	// The control socket answers a moment before.
	eventually(t, "the counters of TURN", func() bool {
		counters, err := admin.Socket(filepath.Join(dir, "run", controlSocket)).Counters(t.Context())
		return err == nil && counters.TURN != nil
	})
	if code := stop(); code != cli.OK || complains(server.err.String()) {
		t.Errorf("exit code %d: %s", code, server.err.String())
	}
}

func TestTURNFailures(t *testing.T) {
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, test := range map[string]struct {
		args []string
		code cli.Code
		want string
	}{
		"port alone":      {[]string{"--turn-listen", "3478"}, cli.Usage, "such as 203.0.113.1:3478"},
		"host":            {[]string{"--turn-listen", "host:3478"}, cli.Usage, "such as 203.0.113.1:3478"},
		"IPv6":            {[]string{"--turn-listen", "[::1]:3478"}, cli.Usage, "not an IPv4 address"},
		"port 0":          {[]string{"--turn-listen", "127.0.0.1:0"}, cli.Usage, "not an IPv4 address"},
		"every address":   {[]string{"--turn-listen", ":3478"}, cli.Usage, "--turn-address IP"},
		"unspecified":     {[]string{"--turn-listen", "0.0.0.0:3478"}, cli.Usage, "--turn-address IP"},
		"address":         {[]string{"--turn-listen", ":3478", "--turn-address", "0.0.0.0"}, cli.Usage, "not the IPv4 address"},
		"address of IPv6": {[]string{"--turn-listen", ":3478", "--turn-address", "2001:db8::1"}, cli.Usage, "not the IPv4 address"},
		"one port":        {[]string{"--turn-listen", "127.0.0.1:1", "--turn-ports", "5"}, cli.Usage, "49152-65535"},
		"ports turned":    {[]string{"--turn-listen", "127.0.0.1:1", "--turn-ports", "9-8"}, cli.Usage, "49152-65535"},
		"ports from 0":    {[]string{"--turn-listen", "127.0.0.1:1", "--turn-ports", "0-8"}, cli.Usage, "49152-65535"},
		"ports alone":     {[]string{"--turn-ports", "5-9"}, cli.Usage, "--turn-listen"},
		"address alone":   {[]string{"--turn-address", "203.0.113.1"}, cli.Usage, "--turn-listen"},
		"taken":           {[]string{"--turn-listen", taken.LocalAddr().String()}, cli.Failure, "taken"},
		"somebody's":      {[]string{"--turn-listen", "203.0.113.77:3478"}, cli.Failure, "--turn-address IP"},
	} {
		t.Run(name, func(t *testing.T) {
			term := newTerminal(t.TempDir())
			args := append([]string{"-p", "0", "--tls-listen", "off"}, test.args...)
			if code := term.run(t.Context(), args...); code != test.code || !strings.Contains(term.err.String(), test.want) {
				t.Errorf("exit code %d, want %d: %s", code, test.code, term.err.String())
			}
		})
	}
}
