package stream

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const proxyAt = "198.51.100.9:3128"

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// proxy answers CONNECT, and joins both sides when the pair of name and password
// is right.
func (n *simNet) proxy(t *testing.T, pair string) (asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var targets []string
	n.listen(proxyAt).script(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
		if pair != "" && request.Header.Get("Proxy-Authorization") != want {
			_, _ = io.WriteString(conn, "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
			return
		}
		mu.Lock()
		targets = append(targets, request.Method+" "+request.Host)
		mu.Unlock()
		onward, err := n.dial(t.Context(), "tcp", request.Host)
		if err != nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 502 x\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 x\r\n\r\n")
		go func() { _, _ = io.Copy(onward, r); _ = onward.Close() }()
		_, _ = io.Copy(conn, onward)
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return targets
	}
}

func TestThroughProxy(t *testing.T) {
	for name, tt := range map[string]struct {
		pair, proxy string
		environment bool
	}{
		"open":             {proxy: "http://198.51.100.9:3128"},
		"with a password":  {pair: "me:se cret", proxy: "http://me:se%20cret@198.51.100.9:3128"},
		"from environment": {pair: "me:x", proxy: "http://me:x@198.51.100.9:3128", environment: true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.environment {
				t.Setenv("HTTPS_PROXY", tt.proxy)
				t.Setenv("NO_PROXY", "")
			}
			bubble(t, func(t *testing.T) {
				r := serving(t, ServerConfig{})
				asked := r.net.proxy(t, tt.pair)
				cfg := r.net.config(&mailbox{})
				cfg.NoProxy = false
				if !tt.environment {
					cfg.Proxy = mustURL(t, tt.proxy)
				}
				c, err := Dial(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				c.Send([]byte("through"))
				c.Close()
				if got := asked(); !slices.Equal(got, []string{"CONNECT " + address}) {
					t.Errorf("%q", got)
				}
				if d := r.net.dialled; d[0] != proxyAt {
					t.Errorf("%q", d)
				}
			})
		})
	}
}

// TestWhichProxy has the configuration go before the environment, and that be
// passed over when it is told.
func TestWhichProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://environment:1")
	for name, tt := range map[string]struct {
		cfg     DialConfig
		noProxy string
		address string
		want    string
	}{
		"environment":  {address: "a.example:443", want: "http://environment:1"},
		"option":       {cfg: DialConfig{Proxy: mustURL(t, "http://option")}, address: "a.example:443", want: "http://option"},
		"direct":       {cfg: DialConfig{NoProxy: true}, address: "a.example:443"},
		"excepted":     {noProxy: ".example", address: "a.example:443"},
		"not excepted": {noProxy: ".example:444", address: "a.example:443", want: "http://environment:1"},
		"loopback":     {address: "127.0.0.1:443"},
	} {
		t.Setenv("NO_PROXY", tt.noProxy)
		got := ""
		u, err := tt.cfg.proxyFor(tt.address)
		if u != nil {
			got = u.String()
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	t.Setenv("HTTPS_PROXY", "socks5://environment:1")
	t.Setenv("NO_PROXY", "")
	if _, err := (&DialConfig{}).proxyFor("a.example:443"); err == nil || !strings.Contains(err.Error(), "not one of HTTP") {
		t.Error(err)
	}
}

func TestProxyErrors(t *testing.T) {
	answer := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, text)
		}
	}
	for name, tt := range map[string]struct {
		proxy  string
		script func(net.Conn)
		after  time.Duration
		want   string
	}{
		"closed":         {want: "cannot reach the proxy 198.51.100.9:3128: dial tcp: connection refused"},
		"no password":    {script: answer("HTTP/1.1 407 x\r\n\r\n"), want: "the proxy 198.51.100.9:3128 wants a user name and a password: give them with --http-proxy http://USER:PASSWORD@198.51.100.9:3128"},
		"wrong password": {proxy: "http://me:secret@198.51.100.9:3128", script: answer("HTTP/1.1 407 x\r\n\r\n"), want: `does not take the user name "me" with its password, both from --http-proxy or HTTPS_PROXY`},
		"forbidden":      {script: answer("HTTP/1.1 403 \x1b[31m\r\n\r\n"), want: "does not let us through to 203.0.113.1:7654: HTTP 403 Forbidden"},
		"odd status":     {script: answer("HTTP/1.1 599 x\r\n\r\n"), want: "HTTP 599"},
		"no proxy":       {script: answer("SSH-2.0-x\r\n"), want: "does not answer as one: malformed"},
		"hangs up":       {script: answer(""), want: "does not answer as one: "},
		"silent":         {script: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, after: DefaultTimeout, want: "does not answer as one: i/o timeout"},
		"no TLS":         {proxy: "https://198.51.100.9:3128", script: answer("HTTP/1.0 400 x\r\n\r\n"), want: "no TLS with the proxy 198.51.100.9:3128: "},
		"untrusted TLS": {proxy: "https://198.51.100.9:3128", script: func(conn net.Conn) {
			_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate()}}).Handshake()
		}, want: "no TLS with the proxy 198.51.100.9:3128: tls: failed to verify certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newSimNet()
				if tt.script != nil {
					n.listen(proxyAt).script(t, tt.script)
				}
				cfg := n.config(&mailbox{})
				cfg.NoProxy = false
				cfg.Proxy = mustURL(t, "http://"+proxyAt)
				if tt.proxy != "" {
					cfg.Proxy = mustURL(t, tt.proxy)
				}
				start := time.Now()
				_, err := Dial(t.Context(), cfg)
				var of *DialError
				if !errors.As(err, &of) || !strings.Contains(err.Error(), tt.want) || time.Since(start) != tt.after {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\x1b") {
					t.Errorf("it shows too much: %q", err)
				}
			})
		})
	}
}

func TestCheckProxy(t *testing.T) {
	for text, want := range map[string]bool{
		"http://h": true, "http://u:p@h:1": true, "https://[::1]:3128": true,
		"socks5://h": false, "h:3128": false, "http://": false, "http://:3128": false, "": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckProxy(u); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{"http://h": "h:80", "https://h": "h:443", "http://[::1]:3128": "[::1]:3128"} {
		if got := proxyAddress(mustURL(t, text)); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
