package supernode

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/network"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
	"hedgerow/transport"
	"hedgerow/transport/stream"
)

// noStreams are streams of which only the addresses are needed.
type noStreams struct {
	admitted []netip.AddrPort // or kept
	sources  map[netip.AddrPort]netip.Addr
}

func newNoStreams() *noStreams {
	return &noStreams{sources: make(map[netip.AddrPort]netip.Addr)}
}

func (s *noStreams) Serve(ctx context.Context) error { <-ctx.Done(); return nil }
func (s *noStreams) Admit(side netip.AddrPort, _ time.Duration) {
	s.admitted = append(s.admitted, side)
}
func (s *noStreams) Keep(side netip.AddrPort, _ time.Duration) {
	s.admitted = append(s.admitted, side)
}
func (s *noStreams) Source(side netip.AddrPort) netip.Addr { return s.sources[side] }
func (s *noStreams) Status() stream.Status                 { return stream.Status{Open: len(s.sources)} }

// from has a stream come from a source.
func (s *noStreams) from(source string, side netip.AddrPort) {
	s.sources[side] = netip.MustParseAddr(source)
}

// drain returns the streams that were admitted since the last call.
func (s *noStreams) drain() (admitted []netip.AddrPort) {
	admitted, s.admitted = s.admitted, nil
	return admitted
}

// side returns the address of a stream.
func side(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("100::%x:%x:0:0", n>>16, n&0xffff)), 1)
}

// TestOnlyEdgesAreAdmitted has a stream stay once something of an edge came by it.
func TestOnlyEdgesAreAdmitted(t *testing.T) {
	streams := newNoStreams()
	r := newRig(t, Config{Streams: streams})
	c := testCommunity("c", "k")
	r.deliver(side(1), []byte("GET / HTTP/1.1, and some more of it"))
	e := r.edge(c, "e", 1)
	e.addr = side(1)
	_, init := e.initiate(nil)
	r.deliver(side(1), slices.Clone(init))
	r.deliver(side(1), init)
	if got := streams.drain(); len(got) != 0 {
		t.Errorf("admitted before a proof: %v", got)
	}
	e.connect()
	r.deliver(side(1), e.seal())
	if got := streams.drain(); !slices.Equal(got, []netip.AddrPort{side(1)}) {
		t.Errorf("a confirmed session admits %v", got)
	}
	r.deliver(side(1), e.seal())
	if got := streams.drain(); len(got) != 0 {
		t.Errorf("told again: %v", got)
	}
	// From its registration on it is told again and again that an edge is there.
	for i := range 5 {
		if i == 0 {
			e.register(e.request())
		} else {
			r.now = r.now.Add(20 * time.Second)
			r.deliver(side(1), e.seal())
			r.deliver(side(1), e.seal())
		}
		if got := streams.drain(); !slices.Equal(got, []netip.AddrPort{side(1)}) {
			t.Errorf("keepalive %d of a registered edge keeps %v", i, got)
		}
	}

	hello := protocol.AppendHello(nil, [16]byte{1})
	r.s.strangers.greeter.mask.Hide(r.out.sc, hello)
	if got := r.deliver(side(2), hello); len(got) != 1 || got[0].to != side(2) {
		t.Errorf("HELLO by a stream: %d answers", len(got))
	}
	if got := streams.drain(); !slices.Equal(got, []netip.AddrPort{side(2)}) {
		t.Errorf("HELLO admits %v", got)
	}
	r.edge(c, "udp", 3).join()
	if got := streams.drain(); len(got) != 0 {
		t.Errorf("UDP admits %v", got)
	}
}

// TestSideAddressIsNotTold has an edge by a stream, and looks for its address
// wherever an edge is told one.
func TestSideAddressIsNotTold(t *testing.T) {
	r := newRig(t, Config{Streams: newNoStreams()})
	c := testCommunity("c", "k")
	e, peer := r.edge(c, "e", 1), r.edge(c, "peer", 2).join()
	e.addr = side(1)
	e.join()
	if e.ack.Seen.IsValid() {
		t.Errorf("ACK: %v", e.ack.Seen)
	}
	told := 0
	for _, a := range e.ask(&protocol.Ping{Pad: 100}, &protocol.Whoami{Pad: 100}) {
		switch a.typ {
		case protocol.MsgPong:
			told++
			if pong, err := protocol.ParsePong(a.value); err != nil || pong.Seen.IsValid() {
				t.Errorf("PONG: %+v, %v", pong, err)
			}
		case protocol.MsgSeen:
			told++
			if seen, err := protocol.ParseSeen(a.value); err != nil || !seen.Addr.Addr().IsUnspecified() {
				t.Errorf("SEEN: %+v, %v", seen, err)
			}
		}
	}
	if told != 2 {
		t.Errorf("%d answers", told)
	}
	if got := peers(t, peer.ask(&protocol.Query{MAC: e.mac})); len(got) != 1 || got[0].Seen.IsValid() {
		t.Errorf("PEER_INFO: %+v", got)
	}
	for _, x := range []struct{ from, to *fakeEdge }{{e, peer}, {peer, e}} {
		if got := r.deliver(x.from.addr, x.from.seal(&protocol.Punch{Handle: x.to.ack.Handle})); len(got) != 0 {
			t.Errorf("%d packets of PUNCH", len(got))
		}
	}
	if got := r.deliver(side(1), stun.AppendRequest(nil, [12]byte{1})); len(got) != 0 {
		t.Error("STUN by a stream is answered")
	}
}

// TestSideAddressIsNotStored has the supernode restart: nobody is sent a RESET by
// a stream, and the lease stays.
func TestSideAddressIsNotStored(t *testing.T) {
	cfg := Config{StateDir: t.TempDir(), Streams: newNoStreams()}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	e := r.edge(c, "e", 1)
	e.addr = side(1)
	e.join()
	was := e.ack
	r = r.restart(cfg)
	if got := r.pass(time.Second, 10*time.Millisecond); len(got) != 0 {
		t.Errorf("%d RESETs", len(got))
	}
	again := r.edge(c, "e", 1)
	again.addr = side(1)
	if again.join(); again.ack.Lease != was.Lease || again.ack.Handle != was.Handle {
		t.Errorf("%+v, was %+v", again.ack, was)
	}
}

// answerPings answers the PINGs among replies.
func (e *fakeEdge) answerPings(all []reply) (n int) {
	e.r.t.Helper()
	for _, a := range all {
		if a.typ == protocol.MsgPing {
			ping, err := protocol.ParsePing(a.value)
			if err != nil {
				e.r.t.Fatal(err)
			}
			e.ask(&protocol.Pong{Nonce: ping.Nonce})
			n++
		}
	}
	return n
}

// TestSessionMovesBetweenUDPAndStreams moves a session by PING and PONG.
func TestSessionMovesBetweenUDPAndStreams(t *testing.T) {
	streams := newNoStreams()
	r := newRig(t, Config{Streams: streams})
	c := testCommunity("c", "k")
	e := r.edge(c, "e", 1).join()
	peer := r.edge(c, "peer", 2).join()
	hop := r.s.sessions.byIdx[e.session.RemoteIndex()]
	for i, to := range []netip.AddrPort{side(1), address(1), side(2), side(3), address(9)} {
		r.now = r.now.Add(10 * time.Second)
		was := e.addr
		e.addr = to
		if n := e.answerPings(e.open(r.deliver(to, e.seal(&protocol.Whoami{Pad: 100})))); n != 1 {
			t.Fatalf("%d: %d PINGs at %v", i, n, to)
		}
		if hop.addr != to || hop.reg.addr != to {
			t.Errorf("%d: it is at %v, was at %v", i, hop.addr, was)
		}
		if admitted := streams.drain(); slices.Contains(admitted, to) != transport.IsSide(to.Addr()) {
			t.Errorf("%d: admitted %v", i, admitted)
		}
		if _, got := e.unwrap(r.deliver(peer.addr, peer.wrap(e.ack.Handle, 0, make([]byte, 100)))); len(got) != 1 {
			t.Errorf("%d: %d relayed packets", i, len(got))
		}
	}
}

// TestSessionOfItsOwnOverAStream has an edge register by a stream while its
// session over UDP lives: packets go the new way from then on, and those on their
// way over the old session are still taken.
func TestSessionOfItsOwnOverAStream(t *testing.T) {
	r := newRig(t, Config{Streams: newNoStreams()})
	c := testCommunity("c", "k")
	peer := r.edge(c, "peer", 2).join()
	udp := r.edge(c, "e", 1).join()
	late := udp.wrap(peer.ack.Handle, 0, make([]byte, 100))
	later := udp.wrap(peer.ack.Handle, 0, make([]byte, 100))

	tcp := r.edge(c, "e", 3)
	tcp.addr = side(1)
	tcp.connect()
	r.deliver(tcp.addr, tcp.seal())
	to := func(e *fakeEdge) int {
		_, inner := e.unwrap(r.deliver(peer.addr, peer.wrap(udp.ack.Handle, 0, make([]byte, 100))))
		return len(inner)
	}
	if to(udp) != 1 {
		t.Error("a session without registration takes the packets")
	}
	if tcp.register(tcp.request()); tcp.ack.Handle != udp.ack.Handle || tcp.ack.Lease != udp.ack.Lease {
		t.Errorf("%+v, was %+v", tcp.ack, udp.ack)
	}
	if to(tcp) != 1 {
		t.Error("the stream does not take the packets")
	}
	if from, _ := peer.unwrap(r.deliver(udp.addr, late)); len(from) != 1 || from[0] != udp.ack.Handle {
		t.Errorf("on its way over the old session: from %v", from)
	}
	r.now = r.now.Add(retiredTime + time.Second)
	if from, _ := peer.unwrap(r.deliver(udp.addr, later)); len(from) != 0 {
		t.Error("the old session lives for ever")
	}
	if to(tcp) != 1 {
		t.Error("the stream no longer takes the packets")
	}
}

// TestSourcesOfStreams has strangers by streams counted by where they come from.
// Those that come by a reverse proxy, on this host or near, come from one place
// and yet do not take each other's INITs.
func TestSourcesOfStreams(t *testing.T) {
	for source, each := range map[string]bool{"198.51.100.1": false, "2001:db8::1": false, "127.0.0.1": true, "192.168.1.1": true} {
		t.Run(source, func(t *testing.T) {
			streams := newNoStreams()
			r := newRig(t, Config{Streams: streams})
			e := r.edge(testCommunity("c", "k"), "e", 1)
			answers := 0
			const n = 120
			for i := range n {
				e.addr = side(i + 1)
				streams.from(source, e.addr)
				_, pkt := e.initiate(nil)
				for _, p := range r.deliver(e.addr, pkt) {
					if len(p.pkt) == protocol.RespLen { // no COOKIE
						answers++
					}
				}
			}
			if (answers == n) != each {
				t.Errorf("%d of %d INITs are answered", answers, n)
			}
		})
	}
}

// TestNewcomersByStreams has one place send many that were never seen before.
func TestNewcomersByStreams(t *testing.T) {
	streams := newNoStreams()
	r := newRig(t, Config{Streams: streams})
	c := testCommunity("c", "k")
	registered := 0
	for i := range newcomerBurst + 20 {
		r.now = r.now.Add(30 * time.Millisecond)
		e := r.edge(c, fmt.Sprint("e", i), i)
		e.addr = side(i + 1)
		streams.from("198.51.100.1", e.addr)
		e.connect()
		if ack, _ := e.register(e.request()); ack != nil {
			registered++
		}
	}
	if registered < newcomerBurst || registered > newcomerBurst+10 {
		t.Errorf("%d newcomers", registered)
	}
}

// TestManyByOneProxy has more edges and communities come by one reverse proxy than one
// source may have, at once, each with a HELLO first. All of them are registered, also
// after a restart, and the proxy's share has its bound too.
func TestManyByOneProxy(t *testing.T) {
	streams := newNoStreams()
	cfg := Config{Streams: streams, StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6, Communities: 1024}}
	r := newRig(t, cfg)
	const n = 400
	come := func(i int) bool {
		e := r.edge(testCommunity(fmt.Sprint("c", i), "k"), fmt.Sprint("e", i), i)
		e.addr = side(i + 1)
		e.index = uint32(i) << 12
		streams.from("127.0.0.1", e.addr)
		hello := protocol.AppendHello(nil, [16]byte(junk(16)))
		crypto.HelloMask(nil).Hide(e.sc, hello)
		if len(r.deliver(e.addr, hello)) != 1 {
			t.Fatalf("edge %d got no WELCOME", i)
		}
		e.connect()
		ack, _ := e.register(e.request())
		return ack != nil
	}
	for i := range n {
		if !come(i) {
			t.Fatalf("edge %d was refused, drops %v", i, r.s.refused.drops.nonzero())
		}
	}
	r = r.restart(cfg)
	if st := r.s.Status(); st.Leases != n || len(st.Communities) != n {
		t.Fatalf("%d leases of %d communities after the restart", st.Leases, len(st.Communities))
	}
	most := proxyShare * r.s.cfg.Limits.communitiesAt(0)
	if got := r.s.registry.shares.of[network.Of(proxies)[0]].communities; got != n || most != 1024 {
		t.Errorf("%d communities came by the proxy, of %d", got, most)
	}
}

func TestStreamStatus(t *testing.T) {
	streams := newNoStreams()
	streams.from("198.51.100.1", side(1))
	if st := newRig(t, Config{Streams: streams}).s.Status(); st.Streams == nil || st.Streams.Open != 1 {
		t.Errorf("%+v", st.Streams)
	}
	if st := newRig(t, Config{}).s.Status(); st.Streams != nil {
		t.Errorf("%+v", st.Streams)
	}
}
