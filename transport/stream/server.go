package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"hedgerow/internal/bucket"
)

const (
	// DefaultConnections is how many connections a server has at most, and
	// DefaultPerSource how many without an edge of one IPv4 address or IPv6 /64.
	DefaultConnections = 4096
	DefaultPerSource   = 8

	// openTime is how long TLS and the head of the request may last together.
	openTime = 5 * time.Second
	// maxRequest is how long the head of a request may be in bytes.
	maxRequest = 16 << 10
)

// Sides gives side addresses to a server's streams: *transport.Sides.
type Sides interface {
	// Add returns a new side address; send is called for each packet to it.
	Add(send func(pkt []byte)) netip.AddrPort
	// Remove ends the use of a side address.
	Remove(a netip.AddrPort)
	// Deliver hands in a packet that a stream received. It borrows pkt until it
	// returns.
	Deliver(from netip.AddrPort, pkt []byte)
}

// ServerConfig is the configuration of a Server. A zero field means the default
// that its comment names.
type ServerConfig struct {
	// Listeners accept the edges' TCP connections. Serve closes them. Required.
	Listeners []net.Listener
	// Certificate returns the certificate for a handshake, as CertificateFiles
	// does. Required.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Sides get every stream. Required.
	Sides Sides
	// Path is the WebSocket's; default: DefaultPath.
	Path string
	// Connections and PerSource are ceilings, in all and for one IPv4 address or
	// IPv6 /64; default: DefaultConnections and DefaultPerSource. An IPv6 /56 may
	// have 4 times and a /48, or an IPv4 /24, 16 times PerSource, and each 32 times
	// as many besides where a registered edge is (Keep). PerSource does not count
	// for loopback, private and link-local addresses (RFC 1918, RFC 4193): such
	// a source may be a reverse proxy that all edges connect through.
	Connections, PerSource int
	// Log gets one line for each event of a connection, on level Debug:
	// strangers cause them. Nil discards it.
	Log *slog.Logger
}

// Server holds the supernode's ends of streams. Its methods may be called from
// any goroutine.
type Server struct {
	cfg     ServerConfig
	gate    gate
	dropped atomic.Uint64
	// strangers counts the streams that ended without a registered edge, hasty the
	// packets that came faster than a stranger's may.
	strangers, hasty atomic.Uint64

	mu      sync.Mutex
	streams map[netip.AddrPort]opened
}

// opened is a stream that is open.
type opened struct {
	liveness *liveness
	source   netip.Addr // where its connection came from
}

// NewServer checks cfg. It starts nothing: that is Serve's.
func NewServer(cfg ServerConfig) (*Server, error) {
	if len(cfg.Listeners) == 0 || cfg.Certificate == nil || cfg.Sides == nil {
		return nil, errors.New("a stream server needs a listener, a certificate and sides")
	}
	if cfg.Path == "" {
		cfg.Path = DefaultPath
	}
	if !strings.HasPrefix(cfg.Path, "/") {
		return nil, fmt.Errorf("the path %q of a stream does not begin with /", cfg.Path)
	}
	if cfg.Connections <= 0 {
		cfg.Connections = DefaultConnections
	}
	if cfg.PerSource <= 0 {
		cfg.PerSource = DefaultPerSource
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, gate: newGate(cfg.Connections, cfg.PerSource), streams: make(map[netip.AddrPort]opened)}, nil
}

// Serve accepts connections on every listener until ctx ends, and then returns
// nil, or until a listener fails. When it returns it has closed the listeners
// and every connection, and joined all goroutines. It can be called once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	open := &sync.WaitGroup{} // connections whose goroutine has not ended
	srv := s.httpServer(ctx, open)
	failed := make(chan error, len(s.cfg.Listeners))
	var serving sync.WaitGroup
	for _, l := range s.cfg.Listeners {
		serving.Go(func() { failed <- srv.Serve(s.secured(l)) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("the stream listener failed: %w", err)
	}
	cancel()
	_ = srv.Close()
	serving.Wait()
	for _, l := range s.cfg.Listeners {
		_ = l.Close() // of one that was not served yet
	}
	open.Wait()
	return err
}

// secured returns a listener whose connections have passed the gate and speak TLS.
func (s *Server) secured(l net.Listener) net.Listener {
	return tls.NewListener(&gatedListener{Listener: l, gate: &s.gate}, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // RFC 8441, WebSocket over HTTP/2, is not spoken
		GetCertificate: s.cfg.Certificate,
	})
}

// httpServer returns the server of HTTP. It counts in open from the start of a
// connection's goroutine to its end; that of a stream ends with its handler.
func (s *Server) httpServer(ctx context.Context, open *sync.WaitGroup) *http.Server {
	return &http.Server{
		Handler:           s.handler(ctx, open),
		ReadHeaderTimeout: openTime,
		ReadTimeout:       openTime,
		WriteTimeout:      openTime,
		MaxHeaderBytes:    maxRequest,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, wireKey{}, c) },
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Done()
			}
		},
	}
}

// wireKey is where a request's context has its connection.
type wireKey struct{}

// handler answers requests: those for our path with a stream, every other one as
// a web server without that page does.
func (s *Server) handler(ctx context.Context, open *sync.WaitGroup) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != s.cfg.Path {
			w.Header().Set("Connection", "close")
			http.NotFound(w, r)
			return
		}
		wire := r.Context().Value(wireKey{}).(*tls.Conn)
		gatedOf(wire).pass()
		p := &liveness{wire: wire}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			// The origin that a browser names does not matter: browsers cannot
			// speak the protocol inside.
			InsecureSkipVerify: true,
			OnPingReceived:     p.pinged, OnPongReceived: p.ponged,
		})
		if err != nil {
			return // it has answered
		}
		defer open.Done() // net/http no longer counts a connection that it gave away
		s.serve(ctx, ws, p)
	})
}

// serve is the life of one stream.
func (s *Server) serve(ctx context.Context, ws *websocket.Conn, p *liveness) {
	f := newFlow(ws, p, &s.dropped)
	side := s.cfg.Sides.Add(f.send)
	p.strange()
	s.enter(side, opened{liveness: p, source: sourceOf(p.wire.RemoteAddr())})
	strange := bucket.NewLimiter(strangerRate, strangerBurst)
	err := f.run(ctx, false, func(pkt []byte) {
		if !p.isKept() && !strange.Take(time.Now()) {
			s.hasty.Add(1)
			return
		}
		s.cfg.Sides.Deliver(side, pkt)
	})
	s.cfg.Sides.Remove(side)
	s.leave(side)
	if !p.isKept() {
		s.strangers.Add(1)
	}
	s.cfg.Log.Debug("a stream ended", "source", p.wire.RemoteAddr(), "why", err)
}

func (s *Server) enter(side netip.AddrPort, o opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[side] = o
}

func (s *Server) leave(side netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, side)
}

// find returns the stream with a side address, if it is open.
func (s *Server) find(side netip.AddrPort) (o opened, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok = s.streams[side]
	return o, ok
}

// Admit lets the stream with a side address stay until a time after it was opened, as
// long as it is not silent: a packet from it has shown that it may belong to an edge.
// Without that, a stream ends 5 s after it was opened. An address without a stream is
// ignored.
func (s *Server) Admit(side netip.AddrPort, sinceOpened time.Duration) {
	if o, ok := s.find(side); ok {
		o.liveness.stay(func(opened time.Time) time.Time { return opened.Add(sinceOpened) }, false)
	}
}

// Keep lets the stream with a side address stay for a time from now on: a registered
// edge is there. Such a stream makes room for no stranger.
func (s *Server) Keep(side netip.AddrPort, longer time.Duration) {
	o, ok := s.find(side)
	if ok && o.liveness.stay(func(time.Time) time.Time { return time.Now().Add(longer) }, true) {
		s.gate.keep(gatedOf(o.liveness.wire))
	}
}

// Source returns the address that the stream with a side address came from, or
// the zero Addr without such a stream.
func (s *Server) Source(side netip.AddrPort) netip.Addr {
	o, _ := s.find(side)
	return o.source
}
