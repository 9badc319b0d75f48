package turn

import (
	"strings"
	"testing"
	"time"
)

func TestParseURI(t *testing.T) {
	for _, test := range []struct {
		uri, host string
		port      uint16
	}{
		{"turn:turn.example", "turn.example", 3478},
		{"turn:turn.example:5000", "turn.example", 5000},
		{"turn:192.0.2.1?transport=udp", "192.0.2.1", 3478},
		{"TURN:192.0.2.1:3478?transport=UDP", "192.0.2.1", 3478},
		{"turn:[2001:db8::1]", "2001:db8::1", 3478},
		{"turn:[2001:db8::1]:65535", "2001:db8::1", 65535},
	} {
		host, port, err := ParseURI(test.uri)
		if err != nil || host != test.host || port != test.port {
			t.Errorf("%s: %q %d %v", test.uri, host, port, err)
		}
	}
}

func TestParseURIFails(t *testing.T) {
	for uri, want := range map[string]string{
		"":                             "not a TURN server",
		"turn.example:3478":            "not a TURN server",
		"stun:turn.example":            "not a TURN server",
		"turns:turn.example":           "TLS is not supported",
		"turn:a?transport=tcp":         `"tcp" is not supported`,
		"turn:a?transport=":            "not supported",
		"turn:a?x=y":                   "not understood",
		"turn:":                        "not a host",
		"turn::3478":                   "not a host",
		"turn://a":                     "not a host",
		"turn:u@a":                     "not a host",
		"turn:a b":                     "not a host",
		"turn:2001:db8::1":             "brackets",
		"turn:[192.0.2.1]":             "not an IPv6 address",
		"turn:[fe80::1%eth0]":          "not an IPv6 address",
		"turn:[2001:db8::1":            "brackets",
		"turn:[]":                      "not an IPv6 address",
		"turn:a:0":                     "not a port",
		"turn:a:65536":                 "not a port",
		"turn:a:":                      "not a port",
		"turn:a:ssh":                   "not a port",
		"turn:[2001:db8::1]?transport": "not understood",
	} {
		if host, port, err := ParseURI(uri); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q %d %v, want %q", uri, host, port, err, want)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("turn:[2001:db8::1]:65535?transport=udp")
	f.Add("turns:a:1")
	f.Fuzz(func(t *testing.T, s string) {
		if host, port, err := ParseURI(s); err == nil && (host == "" || port == 0) {
			t.Errorf("%q: %q %d", s, host, port)
		}
	})
}

// The password is what openssl makes of the user name, as the scheme says:
// printf %s USER | openssl dgst -sha1 -hmac SECRET -binary | base64.
func TestCredentials(t *testing.T) {
	user, password := Credentials([]byte("north"), "0a1b2c3d", time.Unix(1_900_000_000, 0))
	if user != "1900000000:0a1b2c3d" || password != "x4X6QM2lmfncv70QzAcE1HPDo5o=" {
		t.Errorf("%q %q", user, password)
	}
}
