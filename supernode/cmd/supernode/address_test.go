package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"hedgerow/internal/cli"
)

// TestOneAddress: two supernodes have the same ports, each on an address of its own.
func TestOneAddress(t *testing.T) {
	port := "0"
	for i, option := range []string{"--port", "-l"} {
		dir := t.TempDir()
		address := fmt.Sprint("127.0.0.", i+1)
		term, stop := serve(t, dir, option, address+":"+port)
		defer stop()
		st := status(t, dir)
		port = strconv.Itoa(int(st.Listen.Port()))
		if st.Listen.Addr().String() != address || len(st.Streams.Listen) != 1 || st.Streams.Listen[0] != st.Listen || len(st.Notes) != 0 {
			t.Errorf("%s listens on %v and %v, notes %q", address, st.Listen, st.Streams.Listen, st.Notes)
		}
		if want := "-l " + address + ":" + port + "#"; !strings.Contains(term.out.String(), want) {
			t.Errorf("%q lacks %q", term.out.String(), want)
		}
	}
}

// TestPublicAddress is what edges are told to type, and where the TURN server is for them.
func TestPublicAddress(t *testing.T) {
	for public, want := range map[string]string{"vps.example": "-l vps.example:", "2001:db8::1": "-l [2001:db8::1]:", "": "-l HOST:"} {
		term, stop := serve(t, t.TempDir(), "-p", "0", "--tls-listen", "off", "--public-address", public)
		if !strings.Contains(term.out.String(), want) {
			t.Errorf("%q: %q lacks %q", public, term.out.String(), want)
		}
		stop()
	}
	at := fmt.Sprint(":", freePort(t))
	for want, args := range map[string][]string{
		"listening on UDP 127.0.0.1" + at + ", edges come to 198.51.100.7": {"-p", "127.0.0.1:0", "--public-address", "198.51.100.7"},
		"listening on UDP 127.0.0.2" + at + ", edges come to 127.0.0.2":    {"-p", "127.0.0.2:0", "--public-address", "vps.example"},
		"listening on UDP 127.0.0.3" + at + ", edges come to 203.0.113.7":  {"-p", "127.0.0.3:0", "--public-address", "198.51.100.7", "--turn-address", "203.0.113.7"},
	} {
		term, stop := serve(t, t.TempDir(), append(args, "--tls-listen", "off", "--turn-listen", at)...)
		if !strings.Contains(term.out.String(), want) {
			t.Errorf("%q: %q lacks %q", args, term.out.String(), want)
		}
		stop()
	}
}

func TestAddressFaults(t *testing.T) {
	for args, want := range map[string]string{
		"-p 1 -p 2":                                     "contradict",
		"-p 127.0.0.1:1 -l 127.0.0.2:1":                 "contradict",
		"-p 127.0.0.1":                                  "such as -p 7654, or -p 203.0.113.1:7654",
		"-p ::1":                                        "not a port",
		"-p vps.example:7654":                           "not a port, nor an address with one",
		"-p 192.0.2.1:0":                                "192.0.2.1 is no address of this host",
		"-p [2001:db8::1]:0":                            "2001:db8::1 is no address of this host",
		"--public-address 0.0.0.0":                      "the address of no host",
		"--public-address vps.example:1":                "give it without a port",
		"--public-address -vps":                         "neither an address nor the name",
		"--public-address 300.1.1.1":                    "neither an address nor the name",
		"--turn-listen :1 --public-address vps.example": "--public-address IP",
	} {
		term := newTerminal(t.TempDir())
		if code := term.run(t.Context(), append(strings.Fields(args), "--tls-listen", "off")...); code == cli.OK || !strings.Contains(term.err.String(), want) {
			t.Errorf("%s: %d, %s", args, code, term.err.String())
		}
	}
}
