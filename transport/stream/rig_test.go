package stream

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/transport"
)

// host and port are where the supernode of the tests is.
const (
	host    = "203.0.113.1"
	port    = 7654
	address = "203.0.113.1:7654"
)

// mailbox keeps what is delivered to it.
type mailbox struct {
	mu  sync.Mutex
	got []string
}

func (m *mailbox) deliver(pkt []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, string(pkt))
}

// take returns what came since the last call.
func (m *mailbox) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	got := m.got
	m.got = nil
	return got
}

// office stands for the socket that streams are side ways of.
type office struct {
	*transport.Sides
	mail  mailbox
	mu    sync.Mutex
	froms []netip.AddrPort
	came  time.Time // the last packet
}

func newOffice() *office { return &office{Sides: transport.NewSides()} }

func (o *office) Deliver(from netip.AddrPort, pkt []byte) {
	o.mail.deliver(pkt)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.froms = append(o.froms, from)
	o.came = time.Now()
}

// since returns how long after a time the last packet came.
func (o *office) since(start time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.came.Sub(start)
}

// last returns where the last packet came from.
func (o *office) last() netip.AddrPort {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.froms[len(o.froms)-1]
}

// write sends a packet to a side address as the supernode does.
func (o *office) write(t *testing.T, to netip.AddrPort, pkt string) {
	t.Helper()
	if n, err := o.Writer(nil).WriteBatch([]transport.Datagram{{Buf: []byte(pkt), N: len(pkt), Addr: to}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

// rig is a server in a simulated network.
type rig struct {
	net    *simNet
	office *office
	server *Server
	stop   func() // ends the server and waits for it
}

var certificate = sync.OnceValue(func() *tls.Certificate {
	c, err := SelfSigned([32]byte{1})
	if err != nil {
		panic(err)
	}
	return c
})

func serving(t *testing.T, cfg ServerConfig) *rig {
	t.Helper()
	r := &rig{net: newSimNet(), office: newOffice()}
	cfg.Listeners = []net.Listener{r.net.listen(address)}
	cfg.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate(), nil }
	if cfg.Sides == nil {
		cfg.Sides = r.office
	}
	var err error
	if r.server, err = NewServer(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// config returns how the server is dialled.
func (n *simNet) config(m *mailbox) DialConfig {
	return DialConfig{Host: host, Port: port, Ports: []uint16{port}, Dial: n.dial, NoProxy: true, Deliver: m.deliver}
}

// stream opens a stream that is closed at the end of the test.
func (n *simNet) stream(t *testing.T, m *mailbox) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), n.config(m))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// raw makes a TLS connection that speaks for itself.
func (n *simNet) raw(t *testing.T) net.Conn {
	t.Helper()
	conn, err := n.dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
}

// bubble runs a test in time of its own.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	certificate() // outside, as later tests use it too
	synctest.Test(t, f)
}

// ended waits for the end of a stream and returns how long that took.
func ended(c *Conn) time.Duration {
	start := time.Now()
	<-c.Done()
	return time.Since(start)
}
