package main

import (
	"context"
	"net/url"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/underlay"
	"hedgerow/internal/cli"
	"hedgerow/transport/stream"
)

// streamChoice says how supernodes are reached by TLS.
type streamChoice struct {
	Direct bool     // through no proxy, whatever the environment says
	Proxy  *url.URL // nil: that of the environment
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

// dial connects to a supernode by TLS.
func (s *streamChoice) dial(ctx context.Context, host string, port uint16, deliver func(pkt []byte)) (underlay.Stream, error) {
	conn, err := stream.Dial(ctx, stream.DialConfig{
		Host: host, Port: port, Proxy: s.Proxy, NoProxy: s.Direct, Deliver: deliver, Timeout: streamTimeout,
	})
	if err != nil { // a nil *Conn in an interface would not be nil
		return nil, err
	}
	return &tlsStream{conn, host}, nil
}

// tlsStream is a stream that says how it goes.
type tlsStream struct {
	*stream.Conn
	host string
}

// String names the transport and the host.
func (s *tlsStream) String() string { return "TLS to " + s.host }
