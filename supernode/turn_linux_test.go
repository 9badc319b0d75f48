package supernode

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/nat/turn"
	"hedgerow/protocol"
)

// dialTURN makes a client on a host, fed by a socket of its own. got has the
// peers that datagrams came from.
func dialTURN(t *testing.T, h *lab.Host, credential protocol.TURNServer) (c *turn.Client, got chan netip.AddrPort) {
	t.Helper()
	socket := lab.Must(h.ListenUDP("udp4", "0.0.0.0:0"))
	got = make(chan netip.AddrPort, 16)
	c, err := turn.NewClient(turn.ClientConfig{
		Server: credential.Addr, User: credential.User, Password: credential.Password,
		Send:    func(to netip.AddrPort, pkt []byte) { _, _ = socket.WriteToUDPAddrPort(pkt, to) },
		Receive: func(peer netip.AddrPort, _ []byte) { got <- peer },
	})
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 2048)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			c.Handle(from, b[:n])
		}
	}()
	t.Cleanup(func() { c.Close(); socket.Close(); <-read })
	return c, got
}

// Two edges, one of which has a relay at the supernode, talk; somebody else does
// not come in, and is not reached.
func TestTURNBetweenEdges(t *testing.T) {
	l := lab.ForTest(t)
	host := lab.Must(l.Host("supernode", "203.0.113.1"))
	west := lab.Must(lab.Must(l.Router("west", "198.51.100.1", lab.SymmetricRandom)).Host("westhost"))
	home := lab.Must(l.Router("east", "192.0.2.1", lab.SymmetricRandom))
	east := lab.Must(home.Host("easthost"))
	conn := lab.Must(host.ListenUDP("udp4", turnAddress.String()))
	r := newRig(t, Config{TURN: &TURN{
		Conn: conn, Address: turnAddress.Addr(),
		Listen: func(local netip.AddrPort) (net.PacketConn, error) { return host.ListenUDP("udp4", local.String()) },
	}})
	r.now = time.Now() // TURN has no other clock
	community := testCommunity("mine", "a")
	inEast := r.edge(community, "east", 2)
	inEast.addr = netip.AddrPortFrom(home.WAN(), 20001)
	inEast.join()
	credential := r.edge(community, "west", 1).join().ack.TURN

	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { defer close(served); r.s.turn.serve(ctx) }()
	t.Cleanup(func() { cancel(); <-served })
	for r.s.Counters().TURN == nil { // its goroutine may be late
		time.Sleep(time.Millisecond)
	}

	c, got := dialTURN(t, west, credential)
	relayed, err := c.Allocate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var refused *turn.ServerError
	for _, peer := range []netip.Addr{netip.MustParseAddr("192.0.2.66"), turnAddress.Addr(), netip.MustParseAddr("127.0.0.1")} {
		if err := c.Permit(t.Context(), peer); !errors.As(err, &refused) {
			t.Errorf("%v: %v", peer, err)
		}
	}
	if err := c.Permit(t.Context(), home.WAN()); err != nil {
		t.Fatal(err)
	}
	there := lab.Must(east.ListenUDP("udp4", "0.0.0.0:0"))
	defer there.Close()
	b := make([]byte, 64)
	for range 3 {
		if _, err := there.WriteToUDPAddrPort([]byte("there"), relayed); err != nil {
			t.Fatal(err)
		}
		select {
		case peer := <-got:
			if err := c.Write(peer, []byte("back")); err != nil {
				t.Fatal(err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("nothing came")
		}
		_ = there.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, from, err := there.ReadFromUDPAddrPort(b); err != nil || string(b[:n]) != "back" || from != relayed {
			t.Fatalf("%q from %v, %v", b[:n], from, err)
		}
	}
	if st := r.s.Counters().TURN; st == nil || st.Allocations != 1 || st.Refused != 3 {
		t.Errorf("%+v", st)
	}
}
