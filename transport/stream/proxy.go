package stream

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"
)

// CheckProxy returns the fault of a URL as DialConfig.Proxy, or nil.
func CheckProxy(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the proxy %s is not one of HTTP: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT", u.Redacted())
	case u.Hostname() == "":
		return fmt.Errorf("the proxy %s has no host: write http://HOST:PORT", u.Redacted())
	}
	return nil
}

// proxyFor returns the proxy for an address, or nil.
func (c *DialConfig) proxyFor(address string) (*url.URL, error) {
	switch {
	case c.NoProxy:
		return nil, nil
	case c.Proxy != nil:
		return c.Proxy, nil
	}
	u, err := httpproxy.FromEnvironment().ProxyFunc()(&url.URL{Scheme: "https", Host: address})
	if u == nil || err != nil {
		return nil, err
	}
	return u, CheckProxy(u)
}

// proxyAddress returns where a proxy listens.
func proxyAddress(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// throughProxy connects to an address by a proxy's CONNECT.
func (c *DialConfig) throughProxy(ctx context.Context, proxy *url.URL, address string) (net.Conn, error) {
	at := proxyAddress(proxy)
	conn, err := c.Dial(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the proxy %s: %w", at, err)
	}
	defer interrupt(ctx, conn)()
	if proxy.Scheme == "https" {
		// Unlike the supernode's, this certificate counts: a password may go there.
		secured, err := c.secure(ctx, conn, proxy.Hostname(), true)
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("no TLS with the proxy %s: %w", at, err)
		}
		conn = secured
	}
	tunnel, err := connect(conn, proxy, at, address)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return tunnel, nil
}

// connect asks a proxy for a tunnel to an address (RFC 9110, section 9.3.6).
func connect(conn net.Conn, proxy *url.URL, at, address string) (net.Conn, error) {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header)}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		pair := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		request.Header.Set("Proxy-Authorization", "Basic "+pair)
	}
	if err := request.Write(conn); err != nil {
		return nil, fmt.Errorf("cannot ask the proxy %s: %w", at, err)
	}
	tunnel, response, err := readResponse(conn, request)
	if err != nil {
		return nil, fmt.Errorf("the proxy %s does not answer as one: %w", at, err)
	}
	switch {
	case response.StatusCode == http.StatusOK:
		return tunnel, nil
	case response.StatusCode == http.StatusProxyAuthRequired && proxy.User == nil:
		return nil, fmt.Errorf("the proxy %s wants a user name and a password: give them with --http-proxy http://USER:PASSWORD@%s", at, at)
	case response.StatusCode == http.StatusProxyAuthRequired:
		return nil, fmt.Errorf("the proxy %s does not take the user name %q with its password, both from --http-proxy or HTTPS_PROXY", at, proxy.User.Username())
	}
	return nil, fmt.Errorf("the proxy %s does not let us through to %s: HTTP %s", at, address, statusText(response))
}

// statusText returns the status of a response in standard words. The other end's
// own words are not shown.
func statusText(r *http.Response) string {
	if text := http.StatusText(r.StatusCode); text != "" {
		return fmt.Sprintf("%d %s", r.StatusCode, text)
	}
	return fmt.Sprint(r.StatusCode)
}

// maxHeader is how long the answer to a request may be in bytes, without a body.
const maxHeader = 64 << 10

// ahead is a connection of which some bytes were read already.
type ahead struct {
	net.Conn
	r *bufio.Reader
}

// Read returns what was read ahead, and then reads the connection.
func (c *ahead) Read(b []byte) (int, error) { return c.r.Read(b) }
