package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/lab"
	"hedgerow/protocol"
	"hedgerow/transport/stream"
)

// greet opens a stream from a host and says HELLO until it is welcomed. It returns
// the key that WELCOME names, as it is typed behind -l.
func greet(ctx context.Context, from *lab.Host, cfg stream.DialConfig) (key string, err error) {
	welcomes := make(chan []byte, 16)
	cfg.Dial = from.Dial
	cfg.Deliver = func(pkt []byte) {
		select {
		case welcomes <- bytes.Clone(pkt):
		default:
		}
	}
	c, err := stream.Dial(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer c.Close()
	mask, sc := crypto.NewMask(crypto.HelloMaskKey(nil)), crypto.NewScratch()
	nonce := [16]byte{1, 2, 3}
	hello := protocol.AppendHello(nil, nonce)
	mask.Hide(sc, hello)
	c.Send(hello)
	select {
	case pkt := <-welcomes:
		mask.Show(sc, pkt)
		echo, static, err := protocol.ParseWelcome(pkt)
		if err == nil && echo != nonce {
			err = fmt.Errorf("the nonce %x came back as %x", nonce, echo)
		}
		return base64.RawURLEncoding.EncodeToString(static[:]), err
	case <-c.Done():
		return "", c.Err()
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// greetUntil tries greet again while something is still starting.
func (w *town) greetUntil(from *lab.Host, cfg stream.DialConfig) string {
	w.t.Helper()
	for {
		key, err := greet(w.ctx, from, cfg)
		if err == nil {
			return key
		}
		if w.ctx.Err() != nil {
			w.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// streamTown is a town whose supernode also listens on more ports, and a host
// whose router lets out nothing but TCP to the ports of the web.
func streamTown(t *testing.T, listen ...string) (w *town, inside *lab.Host, key string) {
	t.Helper()
	return streamTownFor(t, 60*time.Second, listen...)
}

// streamTownFor is streamTown for a test that may take that long.
func streamTownFor(t *testing.T, limit time.Duration, listen ...string) (w *town, inside *lab.Host, key string) {
	t.Helper()
	w = newQuietTown(t, limit)
	var options []string
	for _, at := range listen {
		options = append(options, "--tls-listen", at)
	}
	w.super = lab.Must(w.Supernode(w.ctx, lab.Must(w.Host("super", superAddr, superAddr6)), "super", options...))
	w.watch(w.super)
	w.await(w.super, "identity")
	_, key, found := strings.Cut(w.super.Log(), "#")
	key, _, _ = strings.Cut(key, "\n")
	if !found {
		t.Fatalf("no key in %q", w.super.Log())
	}
	return w, w.home("blocked", 1, lab.UDPBlocked), key
}

// Where UDP is blocked a stream by the port of HTTPS gets through, and the
// supernode shows it.
func TestStreamWhereUDPIsBlocked(t *testing.T) {
	t.Parallel()
	w, inside, key := streamTown(t, ":443", "[::]:7654")
	outside := lab.Must(w.Host("outside", "203.0.113.50", "2001:db8:1::50"))
	for _, way := range []struct {
		from *lab.Host
		cfg  stream.DialConfig
	}{
		{inside, stream.DialConfig{Host: superAddr}},
		{outside, stream.DialConfig{Host: superAddr, Ports: []uint16{7654}}},
		{outside, stream.DialConfig{Host: superAddr6}},
	} {
		way.cfg.Port, way.cfg.NoProxy = 7654, true
		if got, err := greet(w.ctx, way.from, way.cfg); err != nil || got != key {
			t.Errorf("to %s: %q, %v; the key is %q", way.cfg.Host, got, err, key)
		}
	}
	st, err := w.SupernodeStatus(w.ctx, w.super)
	if err != nil || st.Streams == nil || len(st.Streams.Listen) != 2 {
		t.Errorf("%+v, %v", st.Streams, err)
	}
}

// nginx passes streams on: the supernode hides behind a web server.
func TestStreamByNginx(t *testing.T) {
	t.Parallel()
	program := lab.Program(t, "nginx", "nginx-light")
	w, inside, key := streamTown(t, "127.0.0.1:8443")
	w.nginx(program)
	if got := w.greetUntil(inside, stream.DialConfig{Host: superAddr, Port: 443, NoProxy: true}); got != key {
		t.Errorf("%q, the key is %q", got, key)
	}
	// More streams than one source may have: all come from nginx.
	for range 2 * stream.DefaultPerSource {
		if _, err := greet(w.ctx, inside, stream.DialConfig{Host: superAddr, Port: 443, NoProxy: true}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := greet(w.ctx, inside, stream.DialConfig{Host: superAddr, Port: 443, NoProxy: true, Path: "/elsewhere"})
	if err == nil || !strings.Contains(err.Error(), "HTTP 404") {
		t.Errorf("another path: %v", err)
	}
}

// nginx starts nginx on the supernode's host, and waits until it takes connections.
func (w *town) nginx(program string) {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	writeCertificate(w.t, dir)
	writeFile(w.t, dir, "nginx.conf", nginxConfig)
	p := lab.Must(w.Run(w.ctx, w.super.Host, "nginx", "", program, "-p", dir, "-c", "nginx.conf", "-e", "stderr"))
	w.watch(p)
	w.t.Cleanup(func() { w.kill(p) })
	for w.ctx.Err() == nil {
		c, err := w.super.Host.Dial(w.ctx, "tcp", superAddr+":443")
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Fatal("nginx does not start")
}

// nginxConfig passes one path on to the supernode, by TLS, whose certificate it
// does not check, as is its default.
const nginxConfig = `
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
	access_log off;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
	server {
		listen 443 ssl;
		ssl_certificate cert.pem;
		ssl_certificate_key key.pem;
		location = /hedgerow {
			proxy_pass https://127.0.0.1:8443;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection upgrade;
			proxy_read_timeout 120s;
		}
	}
}
`

// A proxy that wants a password passes streams on by CONNECT, and refuses in words
// that a person understands.
func TestStreamByProxy(t *testing.T) {
	t.Parallel()
	w, inside, key := streamTown(t, ":443")
	proxy := lab.Must(w.Host("proxy", "203.0.113.60"))
	serveProxy(t, proxy, "203.0.113.60:80", "me", "pass word")
	at := func(user *url.Userinfo) stream.DialConfig {
		u := &url.URL{Scheme: "http", Host: "203.0.113.60:80", User: user}
		return stream.DialConfig{Host: superAddr, Port: 443, Proxy: u}
	}
	if got, err := greet(w.ctx, inside, at(url.UserPassword("me", "pass word"))); err != nil || got != key {
		t.Errorf("%q, %v", got, err)
	}
	for want, user := range map[string]*url.Userinfo{
		"wants a user name and a password: give them with --http-proxy": nil,
		`does not take the user name "me"`:                              url.UserPassword("me", "other"),
	} {
		if _, err := greet(w.ctx, inside, at(user)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}

// serveProxy answers CONNECT on a host for the time of a test.
func serveProxy(t *testing.T, h *lab.Host, address, user, password string) {
	t.Helper()
	l := lab.Must(h.Listen("tcp", address))
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(t.Context(), func() { conn.Close() })()
				passOn(t.Context(), h, conn, "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
}

// passOn serves one CONNECT.
func passOn(ctx context.Context, h *lab.Host, conn net.Conn, authorization string) {
	r := bufio.NewReader(conn)
	request, err := http.ReadRequest(r)
	switch {
	case err != nil:
		return
	case request.Header.Get("Proxy-Authorization") != authorization:
		io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
		return
	}
	onward, err := h.Dial(ctx, "tcp", request.Host)
	if err != nil {
		io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer onward.Close()
	io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	back := make(chan struct{})
	go func() { defer close(back); io.Copy(conn, onward); conn.Close() }()
	io.Copy(onward, r)
	onward.Close()
	<-back
}

// writeCertificate writes cert.pem and key.pem of a self-signed certificate.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	c := lab.Must(stream.SelfSigned([32]byte{9}))
	key := lab.Must(x509.MarshalPKCS8PrivateKey(c.PrivateKey))
	writeFile(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	writeFile(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
