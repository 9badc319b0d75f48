package stream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// DefaultPath is where a supernode's WebSocket is.
	DefaultPath = "/hedgerow"
	// DefaultTimeout is how long Dial tries.
	DefaultTimeout = 10 * time.Second
	// httpsPort is the port that firewalls leave open.
	httpsPort = 443
)

// DialConfig says how a supernode is reached. A zero field means the default
// that its comment names.
type DialConfig struct {
	// Host and Port are the supernode's as the user typed them: a name or a
	// literal address, and the UDP port. Both are required.
	Host string
	Port uint16
	// Ports are the TCP ports to try; default: 443 and Port.
	Ports []uint16
	// Path is the WebSocket's; default: DefaultPath.
	Path string

	// Proxy is the HTTP proxy to use, such as
	// http://user:password@proxy.example:3128, or https:// for a proxy behind
	// TLS; default: that of the environment (HTTPS_PROXY, NO_PROXY), as
	// net/http.ProxyFromEnvironment reads it.
	Proxy *url.URL
	// NoProxy is true to use no proxy, whatever the environment names.
	NoProxy bool

	// Deliver is called with each packet that arrives, one at a time; the packet
	// is borrowed until it returns. Required.
	Deliver func(pkt []byte)

	// Timeout bounds Dial, not the life of the stream; default: DefaultTimeout.
	Timeout time.Duration
	// Dial connects to the proxy or the supernode; default: that of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs, unless nil, has the certificate checked. By default any one is
	// accepted: see the package comment.
	RootCAs *x509.CertPool
}

func (c *DialConfig) validate() error {
	var faults []error
	if c.Host == "" || c.Port == 0 {
		faults = append(faults, errors.New("a stream needs the supernode's host and port"))
	}
	if c.Deliver == nil {
		faults = append(faults, errors.New("a stream needs somebody to deliver its packets to"))
	}
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		faults = append(faults, fmt.Errorf("the path %q of a stream does not begin with /", c.Path))
	}
	if slices.Contains(c.Ports, 0) {
		faults = append(faults, errors.New("0 is not a port that a stream can go to"))
	}
	if c.Proxy != nil {
		faults = append(faults, CheckProxy(c.Proxy))
	}
	return errors.Join(faults...)
}

// withDefaults returns a copy in which every default has been filled in but the
// proxy, which the environment may change.
func (c DialConfig) withDefaults() DialConfig {
	if len(c.Ports) == 0 {
		c.Ports = []uint16{httpsPort, c.Port}
	}
	var ports []uint16 // each once: 443 may be the supernode's own
	for _, p := range c.Ports {
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	c.Ports = ports
	if c.Path == "" {
		c.Path = DefaultPath
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	return c
}
