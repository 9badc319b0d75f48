package portmap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Bounds of a router's web server. Small ones are slow: seconds for a page are
// usual.
const (
	pageTimeout = 4 * time.Second
	maxPage     = 128 << 10 // bytes of a body
	maxHeader   = 16 << 10  // bytes
)

// errElsewhere is a URL that leads to another host than the router.
var errElsewhere = errors.New("the router's UPnP leads to another host")

// newWeb returns an HTTP client that speaks only to the router, whatever URL it
// is given: it uses no proxy and follows no redirection, and bodies end after
// maxPage bytes.
func newWeb(r router) http.Client {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.local, 0))}
	return http.Client{
		Timeout: pageTimeout,
		Transport: bounded{&http.Transport{
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				a, err := netip.ParseAddrPort(address)
				if err != nil || a.Addr() != r.gateway {
					return nil, errElsewhere
				}
				return dialer.DialContext(ctx, "tcp4", address)
			},
			// Nothing stays open between two requests an hour apart.
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errElsewhere },
	}
}

// bounded cuts bodies.
type bounded struct{ *http.Transport }

// RoundTrip is http.RoundTripper's.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := b.Transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxPage), answer.Body}
	return answer, nil
}

// get calls read with the body of a page.
func get(ctx context.Context, web *http.Client, at string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	answer, err := web.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %s", answer.Status)
	}
	return read(answer.Body)
}
