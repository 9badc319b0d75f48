package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a network in memory on which datagrams arrive at once, unless cut
// refuses them or nobody listens where they go.
type wire struct {
	mu      sync.Mutex
	sockets map[netip.AddrPort]*socket
	cut     func(from, to netip.AddrPort, pkt []byte) bool
	carried map[[2]netip.AddrPort]int
}

func newWire() *wire {
	return &wire{sockets: make(map[netip.AddrPort]*socket), carried: make(map[[2]netip.AddrPort]int)}
}

// setCut replaces the rule about what is lost; nil: nothing.
func (w *wire) setCut(cut func(from, to netip.AddrPort, pkt []byte) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

type datagram struct {
	from netip.AddrPort
	pkt  []byte
}

// socket is a net.PacketConn on a wire.
type socket struct {
	wire  *wire
	local netip.AddrPort
	inbox chan datagram
	once  sync.Once
	end   chan struct{}
}

var errInUse = errors.New("address in use")

func (w *wire) listen(local netip.AddrPort) (*socket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sockets[local] != nil {
		return nil, errInUse
	}
	s := &socket{wire: w, local: local, inbox: make(chan datagram, 1024), end: make(chan struct{})}
	w.sockets[local] = s
	return s, nil
}

func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.send(addrPort(to), b)
	return len(b), nil
}

func (s *socket) send(to netip.AddrPort, pkt []byte) {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	other := s.wire.sockets[to]
	if other == nil || s.wire.cut != nil && s.wire.cut(s.local, to, pkt) {
		return
	}
	select {
	case other.inbox <- datagram{s.local, append([]byte(nil), pkt...)}:
		s.wire.carried[[2]netip.AddrPort{s.local, to}]++
	default:
	}
}

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-s.inbox:
		return copy(b, d.pkt), net.UDPAddrFromAddrPort(d.from), nil
	case <-s.end:
		return 0, nil, net.ErrClosed
	}
}

func (s *socket) Close() error {
	s.once.Do(func() {
		s.wire.mu.Lock()
		delete(s.wire.sockets, s.local)
		s.wire.mu.Unlock()
		close(s.end)
	})
	return nil
}

func (s *socket) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(s.local) }
func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// Where things are in tests.
var (
	serverAt = netip.MustParseAddrPort("203.0.113.1:3478")
	clientAt = netip.MustParseAddrPort("198.51.100.7:5000")
	peerAt   = netip.MustParseAddrPort("192.0.2.9:6000")
	secret   = []byte("a secret of 32 bytes for testing")
)

// scene is a server and a peer on a wire, and clients as the test makes them.
type scene struct {
	t         *testing.T
	wire      *wire
	server    *Server
	peer      *socket
	ports     [2]uint16   // of relays
	realm     string      // empty: the default
	forbidden atomic.Bool // no peer is allowed
}

// inScene runs a test in a bubble of its own time. Everything that was made must
// have ended at the end.
func inScene(t *testing.T, limits ServerLimits, test func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, wire: newWire()}
		s.start(limits)
		s.peer, _ = s.wire.listen(peerAt)
		test(t, s)
		_ = s.peer.Close()
		if err := s.server.Close(); err != nil {
			t.Error(err)
		}
		if n := s.server.Stats().Allocations; n != 0 {
			t.Errorf("%d allocations after the end", n)
		}
	})
}

// start starts the server, for the first time or again.
func (s *scene) start(limits ServerLimits) {
	s.t.Helper()
	conn, err := s.wire.listen(serverAt)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server, err = NewServer(ServerConfig{
		Conn: conn, Address: serverAt.Addr(), Bind: serverAt.Addr(), Secret: secret, Limits: limits, Ports: s.ports, Realm: s.realm,
		Allowed: func(string, netip.Addr) bool { return !s.forbidden.Load() },
		Listen:  func(local netip.AddrPort) (net.PacketConn, error) { return s.wire.listen(local) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// station is an edge's socket with a client on it.
type station struct {
	*Client
	socket *socket
	got    chan string
	loop   sync.WaitGroup
}

// station makes a client of an identity at an address. It reads its socket until
// leave.
func (s *scene) station(at netip.AddrPort, identity string) *station {
	user, password := Credentials(secret, identity, time.Now().Add(24*time.Hour))
	return s.stationAs(at, user, password)
}

func (s *scene) stationAs(at netip.AddrPort, user, password string) *station {
	s.t.Helper()
	conn, err := s.wire.listen(at)
	if err != nil {
		s.t.Fatal(err)
	}
	st := &station{socket: conn, got: make(chan string, 64)}
	st.Client, err = NewClient(ClientConfig{
		Server: serverAt, User: user, Password: password, Send: conn.send,
		Receive: func(peer netip.AddrPort, pkt []byte) { st.got <- fmt.Sprintf("%v %s", peer, pkt) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	st.loop.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			st.Handle(addrPort(from), b[:n])
		}
	})
	return st
}

// leave closes the client and then its socket.
func (st *station) leave() {
	st.Close()
	_ = st.socket.Close()
	st.loop.Wait()
}

// read returns what has come to a socket, "" for nothing.
func (s *socket) read() (text string, from netip.AddrPort) {
	synctest.Wait()
	select {
	case d := <-s.inbox:
		return string(d.pkt), d.from
	default:
		return "", netip.AddrPort{}
	}
}

// read returns what the client has received, "" for nothing.
func (st *station) read() string {
	synctest.Wait()
	select {
	case text := <-st.got:
		return text
	default:
		return ""
	}
}
