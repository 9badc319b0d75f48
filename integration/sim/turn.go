package sim

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hedgerow/edge/underlay"
	"hedgerow/nat/nattest"
	"hedgerow/nat/turn"
	"hedgerow/supernode"
)

// turnPort is where TURN servers listen (RFC 8656, section 3.1).
const turnPort = 3478

// turnPorts are those of relays.
var turnPorts = [2]uint16{50000, 50255}

// TURN is a TURN server of its own on a public host: the product's, over sockets
// of the simulated internet.
type TURN struct {
	process
	world  *World
	host   *nattest.Host
	secret []byte
	limits turn.ServerLimits
	Server *turn.Server

	mu    sync.Mutex
	asked []netip.Addr
}

// TURN starts a TURN server that has users of one identity.
func (w *World) TURN(addr netip.Addr, limits turn.ServerLimits) *TURN {
	k := w.key(1 << 33)
	t := &TURN{world: w, host: w.Net.Host(addr), secret: k[:], limits: limits}
	t.Start()
	return t
}

// Start starts a server that was stopped; it remembers nothing.
func (t *TURN) Start() {
	conn, err := t.host.Listen(turnPort)
	if err != nil {
		t.world.tb.Fatal(err)
	}
	t.Server, err = turn.NewServer(turn.ServerConfig{
		Conn: conn.PacketConn(), Address: t.host.Addresses()[0], Ports: turnPorts, Secret: t.secret, Limits: t.limits,
		Allowed: t.allow, Listen: relays(t.host), Log: t.world.log("turn"),
	})
	if err != nil {
		t.world.tb.Fatal(err)
	}
	server := t.Server
	t.process = t.world.start(func(ctx context.Context) error {
		<-ctx.Done()
		return server.Close()
	})
}

// allow lets everybody talk to everybody.
func (t *TURN) allow(_ string, peer netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.asked, peer) {
		t.asked = append(t.asked, peer)
	}
	return true
}

// Asked returns the peers that permissions were asked for.
func (t *TURN) Asked() []netip.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.asked)
}

// Stop ends the server.
func (t *TURN) Stop() {
	if err := t.stop(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.world.tb.Errorf("TURN server: %v", err)
	}
}

// User returns the server as an edge's configuration names it, with a credential
// that lasts for a time.
func (t *TURN) User(identity string, lasts time.Duration) underlay.TURNServer {
	user, password := turn.Credentials(t.secret, identity, time.Now().Add(lasts))
	return underlay.TURNServer{Host: t.host.Addresses()[0].String(), Port: turnPort, User: user, Password: password}
}

// relays returns what opens the sockets of relays on a host.
func relays(h *nattest.Host) func(local netip.AddrPort) (net.PacketConn, error) {
	return func(local netip.AddrPort) (net.PacketConn, error) {
		conn, err := h.Listen(local.Port())
		if err != nil {
			return nil, err
		}
		return conn.PacketConn(), nil
	}
}

// serveTURN makes a supernode a TURN server, too.
func (s *Supernode) serveTURN() *supernode.TURN {
	conn, err := s.host.Listen(turnPort)
	if err != nil {
		s.world.tb.Fatal(err)
	}
	return &supernode.TURN{Conn: conn.PacketConn(), Address: s.Addr.Addr(), Ports: turnPorts, Listen: relays(s.host)}
}

// newTURNClient makes the product's client of a TURN server:
// underlay.Transports.TURN.
func newTURNClient(cfg underlay.TURNConfig) (underlay.TURNClient, underlay.TURNReceiver, error) {
	c, err := turn.NewClient(turn.ClientConfig{
		Server: cfg.Server, User: cfg.User, Password: cfg.Password, Send: cfg.Send, Receive: cfg.Receive,
	})
	if err != nil { // a nil *Client in an interface would not be nil
		return nil, nil, err
	}
	return c, c, nil
}
