package stream

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// attempt is one attempt to reach the supernode, by one of its ports.
type attempt struct {
	cfg  *DialConfig
	port uint16
}

// address returns the host and port of the attempt.
func (a attempt) address() string {
	return net.JoinHostPort(a.cfg.Host, strconv.Itoa(int(a.port)))
}

// dial opens a WebSocket step by step: TCP, through a proxy if there is one,
// TLS, and the upgrade. The error names the step that failed.
func (a attempt) dial(ctx context.Context) (*websocket.Conn, *liveness, error) {
	conn, err := a.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	secured, err := a.cfg.secure(ctx, conn, a.cfg.Host, a.cfg.RootCAs != nil)
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("no TLS with %s: %w", a.address(), err)
	}
	p := &liveness{wire: secured}
	ws, err := a.upgrade(ctx, p)
	if err != nil {
		_ = secured.Close()
		return nil, nil, err
	}
	return ws, p, nil
}

// connect makes the TCP connection.
func (a attempt) connect(ctx context.Context) (net.Conn, error) {
	address := a.address()
	proxy, err := a.cfg.proxyFor(address)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		return a.cfg.throughProxy(ctx, proxy, address)
	}
	conn, err := a.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot reach %s: %w", address, err)
	}
	return conn, nil
}

// secure makes a TLS connection to a host.
func (c *DialConfig) secure(ctx context.Context, conn net.Conn, host string, check bool) (*tls.Conn, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		RootCAs:    c.RootCAs,
		// The package comment says why the certificate is not trusted.
		InsecureSkipVerify: !check,
	}
	// A literal address is no name for SNI (RFC 6066, section 3), but for a check.
	if _, err := netip.ParseAddr(host); err != nil || check {
		config.ServerName = host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured, nil
}

// upgrade makes the connection a WebSocket.
func (a attempt) upgrade(ctx context.Context, p *liveness) (*websocket.Conn, error) {
	free := interrupt(ctx, p.wire)
	defer free()
	u := url.URL{Scheme: "https", Host: a.address(), Path: a.cfg.Path}
	shown := u.String()
	if a.cfg.Path != DefaultPath { // it follows from a secret
		shown = "https://" + a.address()
	}
	ws, response, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport: exchange{p.wire},
			// A redirection would lead to another server than the configured
			// one.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		OnPingReceived: p.pinged, OnPongReceived: p.ponged,
	})
	switch {
	case err == nil && !free():
		_ = ws.CloseNow()
		return nil, fmt.Errorf("%s is too slow: %w", a.address(), ctx.Err())
	case err == nil:
		return ws, nil
	case response != nil && response.StatusCode != http.StatusSwitchingProtocols:
		return nil, fmt.Errorf("%s answers with HTTP %s: no supernode takes streams there, or one with another obfuscation key", shown, statusText(response))
	case response != nil:
		return nil, fmt.Errorf("%s is no WebSocket: %w", shown, reason(err))
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s does not answer: %w", shown, ctx.Err())
	}
	return nil, fmt.Errorf("%s does not answer as an HTTP server: %w", shown, reason(err))
}

// reason returns the cause inside an error of an HTTP request, without what the
// layers around it added.
func reason(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return cmp.Or(errors.Unwrap(err), err)
}

// exchange sends one HTTP request and reads its response over an open
// connection.
type exchange struct{ conn net.Conn }

// RoundTrip sends the request and reads the head of the response. The body of one
// that switches protocols is the connection.
func (e exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.Write(e.conn); err != nil {
		return nil, err
	}
	conn, response, err := readResponse(e.conn, request)
	if err == nil && response.StatusCode == http.StatusSwitchingProtocols {
		response.Body = conn
	}
	return response, err
}

// readResponse reads the head of the response to a request. rest is the
// connection behind it.
func readResponse(conn net.Conn, request *http.Request) (rest net.Conn, response *http.Response, err error) {
	limited := &io.LimitedReader{R: conn, N: maxHeader}
	r := bufio.NewReader(limited)
	if response, err = http.ReadResponse(r, request); err != nil {
		return nil, nil, err
	}
	limited.N = math.MaxInt64
	return &ahead{Conn: conn, r: r}, response, nil
}

// interrupt makes everything on a connection fail when ctx ends. free ends that,
// and reports whether the connection is unharmed; it may be called again.
func interrupt(ctx context.Context, conn net.Conn) (free func() bool) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	unharmed := false
	return func() bool {
		unharmed = stop() || unharmed
		return unharmed
	}
}
