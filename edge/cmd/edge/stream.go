package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/bridge"
	"hedgerow/edge/underlay"
	"hedgerow/internal/cli"
	"hedgerow/internal/stack"
	"hedgerow/transport/stream"
)

// streamChoice says how supernodes are reached by TLS.
type streamChoice struct {
	Direct bool     // through no proxy, whatever the environment says
	Proxy  *url.URL // nil: that of the environment
	Path   string   // of streams to supernodes with the obfuscation key that netcheck was given
}

// parse reads --http-proxy.
func (s *streamChoice) parse(c *ucli.Context, faults *cli.Faults) {
	text, _ := cli.String(c, "http-proxy")
	switch text {
	case "":
		return
	case "off":
		s.Direct = true
		return
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err == nil {
		err = stream.CheckProxy(u)
	}
	if err != nil {
		faults.Addf("--http-proxy is not the address of a proxy, such as http://proxy.example:3128: %v", err)
		return
	}
	s.Proxy = u
}

// streamTimeout bounds one try. A port that is blocked silently must not hold up
// the next one for long, which may find that the supernode is back.
const streamTimeout = 4 * time.Second

// dialStream connects to a supernode by TLS.
func (m *member) dialStream(ctx context.Context, to underlay.StreamPlace, deliver func(pkt []byte)) (underlay.Stream, error) {
	conn, err := stream.Dial(ctx, stream.DialConfig{
		Host: to.Host, Port: to.Port, Path: to.Path, Proxy: m.options.Stream.Proxy, NoProxy: m.options.Stream.Direct, Deliver: deliver, Timeout: streamTimeout, Dial: m.dialTCP,
	})
	if err != nil { // a nil *Conn in an interface would not be nil
		return nil, err
	}
	return &tlsStream{conn, to.Host}, nil
}

// errInside says that a connection would lead into the overlay that it is for.
var errInside = errors.New("the route there leads into this overlay [E19]")

// dialTCP connects to a supernode, or to a proxy, past the overlay, and to an IPv4 address
// through the NAT64 where that is the way.
func (m *member) dialTCP(ctx context.Context, network, to string) (net.Conn, error) {
	if a, err := netip.ParseAddrPort(to); err == nil {
		to = m.transports.NAT64.Outward(a).String()
	}
	d := net.Dialer{Control: func(network, to string, c syscall.RawConn) error {
		if a, err := netip.ParseAddrPort(to); err == nil && m.device.stack.Egress(a.Addr().Unmap()) == stack.Into {
			return errInside
		}
		return m.options.Nearby.Underlay.Control(network, to, c)
	}}
	conn, err := d.DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	c := &ownConn{Conn: conn, own: m.own, port: uint16(conn.LocalAddr().(*net.TCPAddr).Port)}
	c.own.OpenTCP(c.port)
	return c, nil
}

// ownConn is a connection that is told from others while it is open.
type ownConn struct {
	net.Conn
	own  *bridge.Sockets
	port uint16
	once sync.Once
}

// Close closes the connection. Its port is free for others when it is closed.
func (c *ownConn) Close() error {
	c.once.Do(func() { c.own.CloseTCP(c.port) })
	return c.Conn.Close()
}

// tlsStream is a stream that says how it goes.
type tlsStream struct {
	*stream.Conn
	host string
}

// String names the transport and the host.
func (s *tlsStream) String() string { return "TLS to " + s.host }
