package underlay

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/protocol"
)

// turnServers makes doubles of turn.Client.
type turnServers struct {
	r       *rig
	s       *sides
	made    []*turnDouble
	broken  error         // why none can be made
	refuses error         // why none gets an allocation
	delay   time.Duration // of Allocate
}

// turnDouble is one of them.
type turnDouble struct {
	of        *turnServers
	cfg       TURNConfig
	at        time.Duration // when it was made
	relayed   netip.AddrPort
	permitted []netip.Addr
	wrote     []datagram
	done      chan struct{}
	closed    int
}

// into gives a rig TURN.
func (s *turnServers) into(r *rig, cfg *Config) {
	s.r, s.s = r, newSides()
	cfg.Transports.Sides = s.s
	cfg.Transports.TURN = func(c TURNConfig) (TURNClient, TURNReceiver, error) {
		if s.broken != nil {
			return nil, nil, s.broken
		}
		x := &turnDouble{of: s, cfg: c, at: r.since(), done: make(chan struct{})}
		s.made = append(s.made, x)
		x.relayed = netip.AddrPortFrom(c.Server.Addr(), 40000+uint16(len(s.made)))
		return x, x, nil
	}
}

func (x *turnDouble) Allocate(ctx context.Context) (netip.AddrPort, error) {
	x.cfg.Send(x.cfg.Server, []byte("allocate"))
	select {
	case <-time.After(x.of.delay):
	case <-ctx.Done():
		return netip.AddrPort{}, ctx.Err()
	}
	return x.relayed, x.of.refuses
}

func (x *turnDouble) Permit(_ context.Context, peers ...netip.Addr) error {
	x.of.r.mu.Lock()
	defer x.of.r.mu.Unlock()
	x.permitted = append(x.permitted, peers...)
	return errText("one more than I permit")
}

func (x *turnDouble) Write(peer netip.AddrPort, pkt []byte) error {
	x.wrote = append(x.wrote, datagram{to: peer, pkt: bytes.Clone(pkt)})
	return nil
}

// Handle hands what comes to a peer, whose address its first byte tells.
func (x *turnDouble) Handle(_ netip.AddrPort, pkt []byte) {
	x.cfg.Receive(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, pkt[0]}), 7000), pkt)
}

func (x *turnDouble) Done() <-chan struct{} { return x.done }

func (x *turnDouble) Close() {
	x.of.r.mu.Lock()
	defer x.of.r.mu.Unlock()
	x.closed++
}

var turnA = addr("203.0.113.1:3478")

// peers are n addresses from 198.51.100.first on.
func peers(first byte, n int) (list []netip.Addr) {
	a := netip.AddrFrom4([4]byte{198, 51, 100, first})
	for range n {
		list, a = append(list, a), a.Next()
	}
	return list
}

// Nothing is allocated before it is needed; what is allocated is a candidate, lets
// through who needs it, and carries packets both ways.
func TestTURN(t *testing.T) {
	x := turnServers{delay: 100 * time.Millisecond}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA, User: "u", Password: "p"})
		r.run(time.Minute)
		r.told("0s candidates 1")
		if len(x.made) != 0 {
			t.Fatal("an allocation that nobody needs")
		}
		r.TURN.Need(time.Now(), append(peers(2, 1), netip.MustParseAddr("192.168.1.2")))
		r.run(50 * time.Millisecond)
		if len(x.made) != 1 || x.made[0].cfg.User != "u" || x.made[0].cfg.Password != "p" || r.receivers[turnA] != TURNReceiver(x.made[0]) {
			t.Fatalf("%d allocations; the server's answers go to %v", len(x.made), r.receivers[turnA])
		}
		if sent := r.asked(); len(sent) != 1 || sent[0].to != turnA {
			t.Errorf("sent %v", sent)
		}
		a := x.made[0]
		r.TURN.Need(time.Now(), peers(1, 2)) // while it is being made
		r.run(50 * time.Millisecond)
		r.told("1m0.1s candidates 2")
		r.candidates("turn 203.0.113.1:40001", "host 192.0.2.7:7000")
		r.logged("a TURN relay stands ready", true)
		r.TURN.Need(time.Now(), peers(2, 2))
		r.run(time.Second)
		if !slices.Equal(a.permitted, peers(1, 3)) {
			t.Errorf("permitted are %v", a.permitted)
		}
		r.logged("permits less than was asked for", true)

		r.receivers[turnA].Handle(turnA, []byte{2})
		in := x.s.take()
		if len(in) != 1 || !IsSide(in[0].to) {
			t.Fatalf("delivered %v", in)
		}
		if peer, ok := r.TURN.ByTURN(in[0].to); !ok || peer != addr("198.51.100.2:7000") {
			t.Errorf("behind %v is %v", in[0].to, peer)
		}
		if _, ok := r.TURN.ByTURN(addr("198.51.100.2:7000")); ok {
			t.Error("every address goes by TURN")
		}
		x.s.write(in[0].to, []byte("back"))
		if len(a.wrote) != 1 || a.wrote[0].to != addr("198.51.100.2:7000") || string(a.wrote[0].pkt) != "back" {
			t.Errorf("wrote %v", a.wrote)
		}
	})
	if x.made[0].closed != 1 || len(x.s.ends) != 0 {
		t.Errorf("closed %d times, %d side addresses are left after the end", x.made[0].closed, len(x.s.ends))
	}
}

// Two servers answer at the same time, while the loop lists what has been allocated: the
// goroutine that holds an allocation writes nothing that the loop reads. It is the race
// detector that looks.
func TestTwoTURNServersAtOnce(t *testing.T) {
	for range 20 {
		x := turnServers{delay: time.Millisecond}
		withRig(t, x.into, func(r *rig) {
			r.Start(time.Now(), nil)
			for _, server := range []string{"203.0.113.1:3478", "203.0.113.2:3478"} {
				r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: addr(server)})
			}
			r.TURN.Need(time.Now(), peers(2, 1))
			r.serve(2)
			r.candidates("turn 203.0.113.1:40001", "turn 203.0.113.2:40002", "host 192.0.2.7:7000")
			for _, m := range x.made {
				m.Handle(netip.AddrPort{}, []byte{2})
			}
			for _, in := range x.s.take() {
				x.s.write(in.to, []byte("back"))
			}
			close(x.made[0].done)
			r.serve(1)
			r.candidates("turn 203.0.113.2:40002", "host 192.0.2.7:7000")
		})
	}
}

// After a failure the server is asked 5 s later, then after twice that, up to 5
// minutes, as long as somebody needs it; the user is told once.
func TestTURNRetry(t *testing.T) {
	x := turnServers{refuses: errText("quota reached")}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA})
		for range 3200 {
			r.TURN.Need(time.Now(), peers(2, 1))
			r.run(500 * time.Millisecond)
		}
		var times []time.Duration
		for _, m := range x.made {
			times = append(times, m.at/time.Second)
			if m.closed != 1 {
				t.Error("an allocation that failed was not given back")
			}
		}
		if want := []time.Duration{0, 5, 15, 35, 75, 155, 315, 615, 915, 1215, 1515}; !slices.Equal(times, want) {
			t.Errorf("asked at %d", times)
		}
		if len(r.receivers) != 0 {
			t.Error("answers go to what has failed")
		}
		if n := strings.Count(r.log.String(), "gives no relay"); n != 1 {
			t.Errorf("the user was told %d times", n)
		}
		if n := strings.Count(r.log.String(), "no allocation"); n != len(times) {
			t.Errorf("the debug log has %d failures", n)
		}
		r.run(5 * time.Minute) // nobody needs it
		if len(x.made) != len(times) {
			t.Error("asked for nobody")
		}
		x.refuses = nil
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(0)
		r.candidates("turn 203.0.113.1:40012", "host 192.0.2.7:7000")
	})
}

// A client that cannot be made counts as a failure; a newer credential is used
// with the next try.
func TestTURNCredential(t *testing.T) {
	x := turnServers{broken: errText("no password")}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA, User: "u"})
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(time.Second)
		r.logged("no password", true)
		x.broken = nil
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA, User: "u2", Password: "p2"})
		r.run(4*time.Second - 1)
		if len(x.made) != 0 || len(r.TURN.servers) != 1 {
			t.Fatal("asked too early, or twice")
		}
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(1)
		if len(x.made) != 1 || x.made[0].at != 5*time.Second || x.made[0].cfg.User != "u2" || x.made[0].cfg.Password != "p2" {
			t.Errorf("made %v", x.made)
		}
	})
}

// An allocation that is lost is none any more, and another one is made when it is
// needed.
func TestTURNLost(t *testing.T) {
	x := turnServers{}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA})
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(time.Minute)
		r.told("0s candidates 1", "0s candidates 2")
		r.receivers[turnA].Handle(turnA, []byte{2})
		side := x.s.take()[0].to
		close(x.made[0].done)
		r.run(time.Minute)
		r.told("1m0s candidates 3")
		r.candidates("host 192.0.2.7:7000")
		if _, ok := r.TURN.ByTURN(side); ok || len(x.s.ends) != 0 || x.made[0].closed != 1 || len(r.receivers) != 0 {
			t.Error("something of the allocation is left")
		}
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(0)
		if len(x.made) != 2 || !slices.Equal(x.made[1].permitted, peers(2, 1)) {
			t.Errorf("made %v", x.made)
		}
		close(x.made[1].done) // while somebody needs it, but less than 5 s after it was asked for
		r.run(5 * time.Second)
		if len(x.made) != 2 {
			t.Error("another one at once")
		}
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(0)
		if len(x.made) != 3 {
			t.Error("none in place of the one that was lost")
		}
	})
}

// Four servers are used, each with 256 peers.
func TestTURNLimits(t *testing.T) {
	x := turnServers{}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{})
		for i := range 6 {
			r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: addr(fmt.Sprintf("203.0.113.%d:3478", i+1))})
		}
		r.counts(map[Refusal]int{RefusedTURNServer: 2})
		need := func(list ...netip.Addr) { // of as many peers as that takes
			for some := range slices.Chunk(list, peerPermitted) {
				r.TURN.Need(time.Now(), some)
			}
		}
		need(peers(0, 250)...)
		need(append(peers(0, 1), []netip.Addr{
			addr("203.0.113.1:1").Addr(), addr("203.0.113.2:1").Addr(), addr("203.0.113.3:1").Addr(), addr("203.0.113.4:1").Addr(),
			addr("203.0.113.5:1").Addr(), addr("203.0.113.6:1").Addr(), addr("203.0.113.7:1").Addr(),
		}...)...)
		r.counts(map[Refusal]int{RefusedTURNPeer: 1})
		r.run(NeedLasts)
		if len(x.made) != 4 || len(x.made[3].permitted) != 256 {
			t.Fatalf("%d allocations", len(x.made))
		}
		r.candidates("turn 203.0.113.1:40001", "turn 203.0.113.2:40002", "turn 203.0.113.3:40003", "turn 203.0.113.4:40004", "host 192.0.2.7:7000")
		// The needs are over, and what was needed long ago makes room, at the pace at
		// which servers are asked.
		for i := range 4 {
			need(addr(fmt.Sprintf("203.0.113.%d:1", 100+i)).Addr())
		}
		r.run(0)
		for _, m := range x.made {
			if n := len(m.permitted); n != 260 {
				t.Errorf("%d were asked for", n)
			}
		}
		if len(r.TURN.needs.until) != 4 || len(r.TURN.servers[0].allocation.permitted) != maxPermitted {
			t.Errorf("%d needs, %d permitted", len(r.TURN.needs.until), len(r.TURN.servers[0].allocation.permitted))
		}
	})
}

// A peer that names other addresses every second has 16 of them permitted at a time,
// asks the servers ten times a second at most, and does not keep others from being
// permitted.
func TestTURNPermitsOfOnePeer(t *testing.T) {
	x := turnServers{}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA})
		r.TURN.Need(time.Now(), peers(1, 1))
		r.run(time.Second)
		const seconds = 120
		for n := range byte(seconds) {
			r.TURN.Need(time.Now(), func() (list []netip.Addr) {
				for i := range byte(40) {
					list = append(list, netip.AddrFrom4([4]byte{203, 1, n, i}))
				}
				return list
			}())
			r.run(time.Second)
			if held := len(r.TURN.servers[0].allocation.permitted); held > maxPermitted || len(r.TURN.needs.until) > maxPermitted {
				t.Fatalf("%d permitted, %d needed", held, len(r.TURN.needs.until))
			}
		}
		if n := len(x.made[0].permitted); n > permitBurst+seconds*permitRate {
			t.Errorf("%d requests", n)
		}
		r.run(10 * time.Second)
		r.TURN.Need(time.Now(), peers(77, 1))
		r.run(0)
		if !slices.Contains(x.made[0].permitted, peers(77, 1)[0]) {
			t.Error("an honest peer is not permitted")
		}
		r.counts(map[Refusal]int{RefusedTURNPeer: r.refused[RefusedTURNPeer]})
	})
}

// What a supernode hands out takes nothing from the user: neither the places of the
// servers that the configuration names nor their credentials; and each supernode has one
// server, however many it names.
func TestTURNOffers(t *testing.T) {
	x := turnServers{}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA, User: "mine", Password: "secret"})
		server := func(n int) protocol.TURNServer {
			return protocol.TURNServer{Addr: addr(fmt.Sprintf("203.0.113.%d:3478", n)), User: "theirs", Password: "x"}
		}
		r.TURN.Offer(time.Now(), 0, protocol.TURNServer{Addr: turnA, User: "theirs", Password: "x"})
		r.counts(map[Refusal]int{RefusedTURNServer: 1})
		for n := range 100 {
			r.TURN.Offer(time.Now(), 0, server(n+20))
		}
		r.TURN.Offer(time.Now(), 1, server(119)) // the other one's
		r.counts(map[Refusal]int{RefusedTURNServer: 1})
		if len(r.TURN.servers) != 2 || r.TURN.servers[0].user != "mine" || r.TURN.servers[1].addr != server(119).Addr {
			t.Fatalf("%d servers are used, the first with %q", len(r.TURN.servers), r.TURN.servers[0].user)
		}
		for n := 1; n < 8; n++ {
			r.TURN.Offer(time.Now(), n, server(n+130))
		}
		r.counts(map[Refusal]int{RefusedTURNServer: 4})
		for n := range 3 {
			r.TURN.AddServer(time.Now(), server(n+140)) // the look-up of a name took its time
		}
		r.counts(nil)
		if len(r.TURN.servers) != 2*maxTURN {
			t.Fatalf("%d servers are used", len(r.TURN.servers))
		}
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(0)
		r.TURN.Offer(time.Now(), 0, server(200)) // an allocation stands
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: server(119).Addr, User: "mine too"})
		if s := r.TURN.servers[1]; s.addr != server(119).Addr || s.user != "mine too" || s.by != byUser {
			t.Errorf("the server with an allocation is %v of %q", s.addr, s.user)
		}
	})
}

// A supernode hands out a TURN server at an address where a peer turns up later: no
// allocation is asked for there, so that the peer's packets go on to be the peer's. A
// server of the user's is asked all the same.
func TestTURNServerWhereAPeerIs(t *testing.T) {
	x := turnServers{}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.Offer(time.Now(), 0, protocol.TURNServer{Addr: turnA})
		r.peers = append(r.peers, turnA)
		for range 10 {
			r.TURN.Need(time.Now(), peers(2, 1))
			r.run(NeedLasts / 2)
		}
		if len(x.made) != 0 || len(r.receivers) != 0 {
			t.Errorf("%d allocations, and what comes from %v goes to TURN", len(x.made), turnA)
		}
		r.counts(map[Refusal]int{RefusedTURNServer: 1})
		r.peers = nil
		r.run(allocateMost)
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(time.Second)
		if len(x.made) != 1 {
			t.Errorf("%d allocations when the peer has gone", len(x.made))
		}
	})
}

// Two supernodes hand out one TURN server, and the credential of the first ends with it:
// the second's is used then, and not before. No server is used twice.
func TestTURNServerOfTwoSupernodes(t *testing.T) {
	x := turnServers{}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		of := func(user string) protocol.TURNServer { return protocol.TURNServer{Addr: turnA, User: user} }
		r.TURN.Offer(time.Now(), 1, protocol.TURNServer{Addr: addr("203.0.113.2:3478"), User: "own"})
		r.TURN.Offer(time.Now(), 0, of("first"))
		r.TURN.Offer(time.Now(), 1, of("second"))
		used := func() (list []string) {
			for _, s := range r.TURN.servers {
				list = append(list, fmt.Sprint(s.by, " ", s.addr, " ", s.user))
			}
			return list
		}
		if got, want := used(), []string{"1 203.0.113.2:3478 own", "0 203.0.113.1:3478 first"}; !slices.Equal(got, want) {
			t.Errorf("used are %q", got)
		}
		x.refuses = errText("the credential has ended")
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(time.Second)
		r.TURN.Offer(time.Now(), 1, of("second"))
		if got, want := used(), []string{"1 203.0.113.1:3478 second"}; !slices.Equal(got, want) {
			t.Errorf("used are %q", got)
		}
		x.refuses = nil
		r.run(allocateRetry)
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(time.Second)
		if made := x.made[len(x.made)-1]; made.cfg.User != "second" || r.TURN.servers[0].allocation == nil {
			t.Errorf("%q asks", made.cfg.User)
		}
		r.TURN.Offer(time.Now(), 0, of("first")) // it is back
		if got, want := used(), []string{"1 203.0.113.1:3478 second"}; !slices.Equal(got, want) {
			t.Errorf("used are %q", got)
		}
	})
}

// A peer of which only private addresses are known needs a relay, too: it may
// reach ours. Nothing is permitted for it yet.
func TestTURNPrivate(t *testing.T) {
	x := turnServers{}
	inRig(t, x.into, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA})
		r.TURN.Need(time.Now(), []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")})
		r.run(time.Second)
		if len(x.made) != 1 || x.made[0].permitted != nil {
			t.Errorf("made %v", x.made)
		}
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(0)
		if !slices.Equal(x.made[0].permitted, peers(2, 1)) {
			t.Errorf("permitted are %v", x.made[0].permitted)
		}
	})
}

// Without what makes allocations, servers are not even remembered.
func TestWithoutTURN(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.Start(time.Now(), nil)
		r.TURN.AddServer(time.Now(), protocol.TURNServer{Addr: turnA})
		r.TURN.Need(time.Now(), peers(2, 1))
		r.run(time.Minute)
		if len(r.TURN.servers) != 0 {
			t.Error("a server is kept for nothing")
		}
		r.counts(nil)
	})
}
