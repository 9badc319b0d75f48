package supernode

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"hedgerow/nat/turn"
	"hedgerow/protocol"
)

// turnAddress is what edges are told in tests.
var turnAddress = netip.MustParseAddrPort("203.0.113.1:3478")

// deafSocket is a socket of which only the address is needed.
type deafSocket struct{ net.PacketConn }

func (deafSocket) LocalAddr() net.Addr { return &net.UDPAddr{Port: int(turnAddress.Port())} }

func withTURN() Config {
	return Config{TURN: &TURN{Conn: deafSocket{}, Address: turnAddress.Addr()}}
}

func identityOfTURN(ack protocol.Ack) string {
	_, identity, _ := strings.Cut(ack.TURN.User, ":")
	return identity
}

// Every ACK has a credential that lasts as long as the lease and is right.
func TestTURNCredential(t *testing.T) {
	r := newRig(t, withTURN())
	e := r.edge(testCommunity("mine", "a"), "edge", 1).join()
	for range 3 {
		expiry := r.now.Add(24 * time.Hour)
		identity := strconv.FormatUint(uint64(e.ack.Handle), 16)
		user, password := turn.Credentials(turnSecret(r.s.cfg.Identity.Seed), identity, expiry)
		if want := (protocol.TURNServer{Addr: turnAddress, User: user, Password: password}); e.ack.TURN != want {
			t.Errorf("got %+v, want %+v", e.ack.TURN, want)
		}
		r.now = r.now.Add(time.Minute)
		if ack, nak := e.register(e.request()); ack == nil {
			t.Fatal(nak)
		}
	}
}

func TestNoTURN(t *testing.T) {
	r := newRig(t, Config{})
	if e := r.edge(testCommunity("mine", "a"), "edge", 1).join(); e.ack.TURN != (protocol.TURNServer{}) {
		t.Errorf("%+v", e.ack.TURN)
	}
}

// The secret is the identity's own, and not what anything else is derived as.
func TestTURNSecret(t *testing.T) {
	a, b := turnSecret(identity("a").Seed), turnSecret(identity("b").Seed)
	if string(a) == string(b) || len(a) != 32 || string(a) != string(turnSecret(identity("a").Seed)) {
		t.Errorf("%x and %x", a, b)
	}
}

// An edge reaches the edges of its community where we see them, and nobody else.
func TestTURNAllowed(t *testing.T) {
	r := newRig(t, withTURN())
	mine := testCommunity("mine", "a")
	edge := r.edge(mine, "edge", 1).join()
	peer := r.edge(mine, "peer", 2)
	peer.connect()
	m := peer.request()
	m.Candidates = []netip.AddrPort{address(50)}
	if ack, nak := peer.register(m); ack == nil {
		t.Fatal(nak)
	}
	r.edge(testCommunity("other", "b"), "stranger", 3).join()
	ofEdge, ofPeer := identityOfTURN(edge.ack), identityOfTURN(peer.ack)
	allowed := func(what, identity string, n int, want bool) {
		t.Helper()
		if got := r.s.turn.allowed(identity, address(n).Addr()); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	allowed("a peer", ofEdge, 2, true)
	allowed("the other way", ofPeer, 1, true)
	allowed("itself", ofEdge, 1, false)
	allowed("an edge of another community", ofEdge, 3, false)
	allowed("what a peer says of itself", ofEdge, 50, false)
	allowed("nobody", ofEdge, 9, false)
	allowed("by nobody", "1", 2, false)
	allowed("by no handle", "", 2, false)
	allowed("by something else", "x"+ofEdge, 2, false)
	allowed("by a number too long", "1"+strings.Repeat("0", 8), 2, false)

	peer.addr = address(4)
	peer.join()
	allowed("where the peer was", ofEdge, 2, false)
	allowed("where the peer is", ofEdge, 4, true)
	if got := peer.ask(&protocol.Unregister{}); len(got) != 0 {
		t.Errorf("%v", got)
	}
	allowed("a peer that has left", ofEdge, 4, false)

	// While its lease lasts an edge may be silent to us; then it is nobody.
	peer.join()
	r.pass(firstLease-time.Minute, time.Minute)
	peer.join()
	allowed("by a silent edge", ofEdge, 4, true)
	r.pass(2*time.Minute, time.Minute)
	peer.join()
	allowed("by an edge of the past", ofEdge, 4, false)
}

func TestTURNConfig(t *testing.T) {
	for name, test := range map[string]struct {
		turn TURN
		want string
	}{
		"no socket":      {TURN{Address: turnAddress.Addr()}, "no socket"},
		"no address":     {TURN{Conn: deafSocket{}}, "no IPv4 address"},
		"unspecified":    {TURN{Conn: deafSocket{}, Address: netip.IPv4Unspecified()}, "no IPv4 address"},
		"IPv6":           {TURN{Conn: deafSocket{}, Address: netip.IPv6LinkLocalAllNodes()}, "no IPv4 address"},
		"relays of IPv6": {TURN{Conn: deafSocket{}, Address: turnAddress.Addr(), Bind: netip.IPv6Unspecified()}, "relays"},
		"ports":          {TURN{Conn: deafSocket{}, Address: turnAddress.Addr(), Ports: [2]uint16{9, 8}}, "range"},
	} {
		_, err := New(Config{Conn: newRecorder(), Identity: identity("supernode"), TURN: &test.turn})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
