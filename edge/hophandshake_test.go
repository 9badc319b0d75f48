package edge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// TestHelloRetryIn holds the waits between HELLOs: 1, 2 and 4 s, then 5 s with
// jitter.
func TestHelloRetryIn(t *testing.T) {
	jitter := func(d time.Duration) time.Duration { return d - 1 }
	none := func(time.Duration) time.Duration { return 0 }
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if got := helloRetryIn(i+1, jitter); got != want {
			t.Errorf("attempt %d: %v, want %v", i+1, got, want)
		}
	}
	for _, attempts := range []int{4, 5, 100, 1 << 30} {
		if least, most := helloRetryIn(attempts, none), helloRetryIn(attempts, jitter); least != 5*time.Second || most != 6*time.Second-1 {
			t.Errorf("attempt %d: %v to %v", attempts, least, most)
		}
	}
}

// TestPinning takes a supernode's key on first use, keeps it, and tells when the
// supernode says another one.
func TestPinning(t *testing.T) {
	dir := t.TempDir()
	unpinned := func(c *Config) { c.Supernodes[0].Key, c.StateDir = nil, dir }
	e := newEdge(t, unpinned)
	s := e.servers.list[0]
	key, other := testIdentity(200).Static, testIdentity(201).Static
	welcome := func(nonce [16]byte, key [32]byte, from netip.AddrPort, after time.Duration) {
		pkt := protocol.AppendWelcome(nil, nonce, key, [32]byte{1})
		e.handle(noon.Add(after), dataplane.HandshakeAnswer{Origin: dataplane.Origin{Addr: from, Supernode: s.view}, Packet: pkt})
	}
	welcome([16]byte{1}, key, atServer, 0)
	welcome(s.hello.nonce, key, elsewhere, 0)
	welcome(s.hello.nonce, key, atServer, helloWait+1)
	if s.key != nil || e.drops()["welcome"] != 3 {
		t.Fatalf("a WELCOME of nobody was taken: %v", e.drops())
	}
	e.conn.take()
	welcome(s.hello.nonce, key, atServer, time.Second)
	if s.key == nil || *s.key != key || s.hello.active || !s.init.active() || len(e.told(control.EventPinned)) != 1 {
		t.Fatalf("key %v", s.key)
	}
	if sent := e.conn.take(); len(sent) != 1 || len(sent[0].pkt) != protocol.InitLen {
		t.Errorf("sent %d datagrams", len(sent))
	}
	e.background.workers.Wait()
	if again := newEdge(t, unpinned); *again.servers.list[0].key != key {
		t.Error("the key was not kept")
	}
	// Nobody answers the INITs: it is asked whether its key is another one by now, or
	// whether it speaks an older protocol.
	now := noon
	for !s.hello.active && now.Before(noon.Add(helloSilence)) {
		now = now.Add(time.Second)
		e.pass(now)
	}
	if d := now.Sub(noon); d > 5*time.Second {
		t.Errorf("first asked after %v", d)
	}
	s.hello.end()
	for !s.hello.active && now.Before(noon.Add(2*helloSilence)) {
		now = now.Add(time.Second)
		e.pass(now)
	}
	if d := now.Sub(noon); d < helloSilence || d > helloSilence+10*time.Second {
		t.Errorf("asked after %v", d)
	}
	for range 2 {
		s.hello.active, s.hello.sent = true, now
		e.handle(now, dataplane.HandshakeAnswer{
			Origin: dataplane.Origin{Addr: s.addr(), Supernode: s.view}, Packet: protocol.AppendWelcome(nil, s.hello.nonce, other, [32]byte{1}),
		})
	}
	if told := e.told(control.EventKeyChanged); len(told) != 1 || told[0].Key != other || *s.key != key {
		t.Errorf("told %v", told)
	}
	if len(e.told(control.EventNoAnswer)) != 1 {
		t.Errorf("that nobody answers was told %d times", len(e.told(control.EventNoAnswer)))
	}
}

// TestOlderSupernode tells the user that a supernode has to be updated, once, whether
// its key is known or not, and not that UDP is blocked.
func TestOlderSupernode(t *testing.T) {
	older := func(nonce [16]byte, key [32]byte) []byte { // as it was before version 1 was final
		pkt := protocol.AppendWelcome(nil, nonce, key, [32]byte{1})
		clear(pkt[8:protocol.HeaderLen])
		return pkt
	}
	for name, change := range map[string]func(*Config){
		"its key is configured": nil,
		"its key is not known":  func(c *Config) { c.Supernodes[0].Key = nil },
	} {
		e := newEdge(t, change)
		s, now := e.servers.list[0], noon
		for range 60 {
			if s.hello.active {
				e.handle(now, dataplane.HandshakeAnswer{
					Origin: dataplane.Origin{Addr: s.addr(), Supernode: s.view}, Packet: older(s.hello.nonce, testIdentity(200).Static),
				})
			}
			now = now.Add(time.Second)
			e.pass(now)
		}
		if told := e.told(control.EventOlder); len(told) != 1 || told[0].Supernode != s.cfg.Name {
			t.Errorf("%s: told %v", name, told)
		}
		for _, kind := range []control.EventKind{control.EventNoAnswer, control.EventStream, control.EventKeyChanged, control.EventPinned} {
			if told := e.told(kind); len(told) != 0 {
				t.Errorf("%s: told %v as well", name, told)
			}
		}
		if s.state() != control.StateOlder {
			t.Errorf("%s: state %v", name, s.state())
		}
	}
}

// TestOlderEdge says in the log that an edge has to be updated whose INIT is of before
// version 1 was final; nothing is learned of it.
func TestOlderEdge(t *testing.T) {
	var log bytes.Buffer
	e := newEdge(t, func(c *Config) { c.Host.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		var hdr [protocol.HeaderLen]byte
		protocol.Header{Type: protocol.TypeInit, XF: protocol.XFPair, KI: 7, RX: 77}.Put(hdr[:])
		psk, _ := e.keys.PSK(noon, 7)
		_, pkt, err := crypto.Initiate(crypto.HandshakeConfig{Local: testIdentity(9), CID: e.self.cid, PSK: psk}, e.self.identity.Static, hdr, [48]byte{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		e.handle(noon, dataplane.InitReceived{Origin: dataplane.Origin{Addr: elsewhere}, Packet: pkt})
	}
	if n := strings.Count(log.String(), "[E22]"); n != 1 || e.drops()["handshake-older"] != 3 || len(e.peers.byStatic) != 0 {
		t.Errorf("%d lines, drops %v, log:\n%s", n, e.drops(), log.String())
	}
}

// TestReset begins a new handshake for a RESET with the right token, once a second,
// and keeps the session until then.
func TestReset(t *testing.T) {
	v := registered(t, nil)
	old, index := v.session, v.s.hop.session.Crypto().RemoteIndex()
	reset := func(now time.Time, index uint32, token [16]byte) bool {
		v.sentNow()
		v.handle(now, dataplane.HandshakeAnswer{Origin: v.origin(), Packet: protocol.AppendReset(nil, index, token)})
		return slices.ContainsFunc(v.sentNow(), func(d sentDatagram) bool { return len(d.pkt) == protocol.InitLen })
	}
	if reset(noon, index, [16]byte{1}) || reset(noon, index+1, testToken) {
		t.Error("a RESET of somebody else was taken")
	}
	if !reset(noon, index, testToken) || reset(noon.Add(resetsEvery-1), index, testToken) || reset(noon.Add(resetsEvery), index, testToken) {
		t.Error("not one RESET for a session")
	}
	if d := v.drops(); d["reset"] != 2 || d["reset-rate"] != 2 {
		t.Errorf("counted %v", d)
	}
	if !v.s.registered() || v.s.hop.session.Crypto().RemoteIndex() != old.LocalIndex() {
		t.Error("the session was given up at once")
	}
}

// rounds has a supernode send a RESET with the right token for whatever session there is,
// ten times a second for a minute, and answer each INIT after a time, out of the boot that
// next says. It returns how many INITs there were.
func (v *testServer) rounds(answersIn time.Duration, next func()) (inits int) {
	v.tb.Helper()
	var init sentDatagram
	var answer time.Time
	for n := range 600 {
		now := noon.Add(time.Duration(n) * 100 * time.Millisecond)
		token := v.s.grant.token
		v.handle(now, dataplane.HandshakeAnswer{Origin: v.origin(), Packet: protocol.AppendReset(nil, v.s.hop.session.Crypto().RemoteIndex(), token)})
		v.servers.connector.tick(now)
		v.settle(now)
		for _, d := range v.sentNow() {
			if len(d.pkt) == protocol.InitLen {
				inits++
				init, answer = d, now.Add(answersIn)
			}
		}
		if !answer.IsZero() && !now.Before(answer) {
			next()
			v.conn.sent = []sentDatagram{init}
			v.answer(now)
			granted := ack(3)
			v.say(now, granted.Append(nil))
			answer = time.Time{}
		}
	}
	return inits
}

// TestResetsForEver has a supernode send RESETs without an end. One that restarts each
// time, slowly too, gets one INIT a second at most and is registered with; one that does
// not restart is obeyed once a minute. The data path is up all the time.
func TestResetsForEver(t *testing.T) {
	for name, c := range map[string]struct {
		answersIn time.Duration
		boots     uint32 // added at each session
		most      int    // INITs in a minute
	}{
		"another boot each time":     {0, 1, 60},
		"another boot, and far away": {1500 * time.Millisecond, 1, 60},
		"always the same boot":       {0, 0, 1},
		"the same boot, far away":    {1500 * time.Millisecond, 0, 2}, // one is repeated
	} {
		t.Run(name, func(t *testing.T) {
			v := registered(t, nil)
			p, relayed := v.neighbour(2), v.met(3, "roof")
			direct, sessions := p.view.Route(), 0
			stays := func() bool { return p.view.Route().Session == direct.Session } // its path has no answers here
			up := 0
			inits := v.rounds(c.answersIn, func() {
				v.index += c.boots << 24
				sessions++
				if v.s.registered() && v.s.view.Reachable() && stays() && relayed.view.Route().Supernode == v.s.view {
					up++
				}
			})
			if inits > c.most || sessions == 0 || up != sessions {
				t.Errorf("%d INITs, %d sessions, the data path was up %d times", inits, sessions, up)
			}
			if !v.s.registered() || !v.s.current() {
				t.Error("it is not registered at the end")
			}
		})
	}
}

// TestHopRekey renews the session with a supernode at its age. Of the
// session before only what is not about the registration counts.
func TestHopRekey(t *testing.T) {
	v := registered(t, nil)
	if at := v.s.hop.rekey.At(); !at.Equal(noon.Add(hopRekeyAfter)) {
		t.Errorf("renewed at %v", at)
	}
	v.servers.connector.tick(noon.Add(hopRekeyAfter))
	first := v.session
	v.answer(noon)
	if v.session == first || v.s.hop.old == nil || v.data.draft.HopCount() != 2 {
		t.Fatal("no second session")
	}
	if got := types(v.hears()); !slices.Contains(got, protocol.MsgRegister) {
		t.Errorf("says %v on it", got)
	}
	v.session, first = first, v.session
	m := ack(9)
	v.say(noon, m.Append(nil))
	if v.s.grant.others == 8 || v.drops()["hop-message-old"] != 1 {
		t.Error("an ACK of the old session counts")
	}
	ask := protocol.Ping{Nonce: [8]byte{9}, Pad: protocol.MinPingPad}
	v.say(noon, ask.Append(nil))
	v.session = first
	if got := types(v.hears()); !slices.Equal(got, []protocol.MsgType{protocol.MsgPong}) {
		t.Errorf("a PING in the old session is answered by %v", got)
	}
	m = ack(4)
	v.say(noon, m.Append(nil))
	if v.s.grant.others != 3 {
		t.Error("not registered on the new session")
	}
}

// names resolves to what a test says.
type names struct {
	list []netip.Addr
	err  error
}

func (n *names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return n.list, n.err
}

// TestResolve looks a supernode's name up, again and again until it is found, tells each
// reason once, and tries its addresses in turn.
func TestResolve(t *testing.T) {
	n := &names{err: errors.New("no such host")}
	e := newEdge(t, func(c *Config) { c.Supernodes[0].Host, c.Host.Resolver = "sn.example", n })
	s, now := e.servers.list[0], noon
	again := func(wait time.Duration) {
		now = now.Add(wait)
		e.pass(now)
		e.await(now)
	}
	again(0)
	if len(e.told(control.EventResolveFailed)) != 1 || s.silentSince() != noon || s.state() != control.StateResolving {
		t.Errorf("silent since %v, %v", s.silentSince(), s.state())
	}
	again(time.Second)
	n.err = nil
	again(2 * time.Second) // it has no address
	if n := len(e.told(control.EventResolveFailed)); n != 2 {
		t.Errorf("told %d times", n)
	}
	n.list = []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")}
	e.conn.take()
	again(4 * time.Second)
	if len(s.where.addrs) != 2 || !s.where.failed.IsZero() || !s.init.active() {
		t.Fatalf("addresses %v", s.where.addrs)
	}
	tried := make(map[netip.AddrPort]bool)
	for i := range 5 {
		for _, d := range e.conn.take() {
			if len(d.pkt) == protocol.InitLen {
				tried[d.to] = true
			}
		}
		e.pass(now.Add(time.Duration(i) * 2 * time.Second))
	}
	if len(tried) != 2 {
		t.Errorf("tried %v", tried)
	}
}

// byName has the first supernode given by name, and its state kept.
func byName(n *names, dir string) func(*Config) {
	return func(c *Config) { c.Supernodes[0].Host, c.Host.Resolver, c.StateDir = "sn.example", n, dir }
}

// initsTo returns where the INITs went that were sent since the last call.
func (e *testEdge) initsTo() (list []netip.AddrPort) {
	for _, d := range e.sentNow() {
		if len(d.pkt) == protocol.InitLen {
			list = append(list, d.to)
		}
	}
	return list
}

// remembered returns a directory with the state of an edge whose supernode sn:7654 has
// answered at 203.0.113.1.
func remembered(t *testing.T) (dir string) {
	dir = t.TempDir()
	n := &names{list: []netip.Addr{netip.MustParseAddr("203.0.113.1")}}
	e := newEdge(t, byName(n, dir))
	e.await(noon)
	e.servers.connector.locator.answeredAt(e.servers.list[0], netip.MustParseAddrPort("203.0.113.1:7654"))
	e.state.keepNow()
	return dir
}

// Where a supernode has answered is tried at the next start, before a name server has
// answered, while none does, and beside a wrong answer; what the name stands for comes first.
func TestLastGoodAddress(t *testing.T) {
	good, other := netip.MustParseAddrPort("203.0.113.1:7654"), netip.MustParseAddrPort("192.168.1.1:7654")
	dir := remembered(t)
	n := &names{err: &net.DNSError{Err: "no answer", IsTimeout: true, Server: "192.0.2.53"}}
	e := newEdge(t, byName(n, dir))
	s := e.servers.list[0]
	if to := e.initsTo(); !slices.Equal(to, []netip.AddrPort{good}) {
		t.Fatalf("at once asked at %v", to)
	}
	e.await(noon)
	e.servers.connector.resolved(noon, s, nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true, Server: "192.0.2.53"}) // the same in other words
	told := e.told(control.EventResolveFailed)
	if len(told) != 1 || told[0].Addr != good || s.state() != control.StateConnecting {
		t.Errorf("told %+v, %v", told, s.state())
	}
	if notes := strings.Join(e.status(noon).Notes, " "); !strings.Contains(notes, "192.0.2.53") || !strings.Contains(notes, "203.0.113.1 is used meanwhile") || !strings.Contains(notes, "[E54]") {
		t.Errorf("notes %q", notes)
	}
	n.err, n.list = nil, []netip.Addr{other.Addr()} // as in a network that wants a sign-in
	e.pass(noon.Add(time.Second))
	e.initsTo()
	e.await(noon.Add(time.Second))
	if to := e.initsTo(); !slices.Equal(to, []netip.AddrPort{other}) {
		t.Errorf("then asked at %v", to)
	}
	e.pass(noon.Add(5 * time.Second))
	if to := e.initsTo(); !slices.Equal(to, []netip.AddrPort{good}) {
		t.Errorf("then again at %v", to)
	}
	if to := e.state.supernodeAddress("sn:7654"); to != good {
		t.Errorf("%v is kept, which did not answer", to)
	}
}

// Nothing is asked at an address that was kept of a supernode with another port, or whose
// key is not known: anybody could answer.
func TestLastGoodAddressOfAnother(t *testing.T) {
	dir := remembered(t)
	for name, change := range map[string]func(*Config){
		"another port": func(c *Config) { c.Supernodes[0].Port = 7655 },
		"no key":       func(c *Config) { c.Supernodes[0].Key = nil },
	} {
		n := &names{err: errors.New("no such host")}
		e := newEdge(t, func(c *Config) { byName(n, dir)(c); change(c) })
		e.await(noon)
		if sent := e.sentNow(); len(sent) != 0 {
			t.Errorf("%s: sent to %v", name, sent[0].to)
		}
	}
}

// A change of this host's network has names looked up at once, and streams made that waited.
func TestNamesOnNewNetwork(t *testing.T) {
	n := &names{err: errors.New("no such host")}
	e := newEdge(t, byName(n, ""))
	s := e.servers.list[0]
	e.await(noon)
	s.stream.next, s.stream.tries = noon.Add(time.Hour), 5
	n.err, n.list = nil, []netip.Addr{netip.MustParseAddr("203.0.113.1")}
	now := noon.Add(100 * time.Millisecond)
	e.underlay.NetworkChanged(now)
	e.await(now)
	if to := e.initsTo(); len(to) != 1 || s.stream.next.After(now) {
		t.Errorf("asked at %v, the next stream at %v", to, s.stream.next)
	}
	n.list = []netip.Addr{netip.MustParseAddr("203.0.113.2")}
	e.underlay.NetworkChanged(now)
	e.await(now)
	if to := e.initsTo(); !slices.Contains(to, netip.MustParseAddrPort("203.0.113.2:7654")) {
		t.Errorf("a name that stands for another address here was asked at %v", to)
	}
}

// Everything is renewed after a suspension: the counters may have been used.
func TestResumed(t *testing.T) {
	boot := time.Duration(0)
	v := newServer(t, func(c *Config) { c.Host.BootClock = func() time.Duration { return boot } })
	v.answer(noon)
	m := ack(1)
	v.say(noon, m.Append(nil))
	p := v.met(2, "roof")
	salt := v.keys.group.Salt()
	boot = time.Hour
	v.pass(noon.Add(clockEvery))
	if !v.s.init.active() || !p.sessions.init.active() || p.sessions.sealing() != nil || v.keys.group.Salt() == salt {
		t.Error("not everything was renewed after a suspension")
	}
}

// TestOlderSupernodeIsUpdated: a supernode that spoke an older protocol is asked by the
// next stream as well as it was by the first where only streams may be used, and where
// it falls silent a stream is made and the user is told, since now UDP may be blocked.
func TestOlderSupernodeIsUpdated(t *testing.T) {
	for name, key := range map[string]bool{"its key is configured": true, "its key is not known": false} {
		older := func(t *testing.T, only bool) (*testEdge, *supernode) {
			e := newEdge(t, func(c *Config) {
				withTransports(c)
				c.Reach.StreamOnly = only
				if !key {
					c.Supernodes[0].Key = nil
				}
			})
			s := e.servers.list[0]
			s.hello.active, s.hello.older, s.reported.older = false, true, true
			return e, s
		}
		t.Run(name+", streams only", func(t *testing.T) {
			e, s := older(t, true)
			for i := range 3 {
				s.stream.dialing = true // by whom a test does not care
				e.servers.connector.dialed(noon, s, newMemoryStream(), destination(9+i), nil)
				e.settle(noon)
				if sent := e.sentNow(); len(sent) == 0 || sent[0].to != destination(9+i) {
					t.Fatalf("nothing goes by stream %d: %v", i, sent)
				}
				e.servers.connector.dropStream(s)
			}
			if told := e.told(control.EventStream); len(told) != 0 {
				t.Errorf("told %v, though it answers", told)
			}
		})
		t.Run(name+", silent", func(t *testing.T) {
			e, s := older(t, false)
			if at := e.servers.connector.streamAt(noon, s); !at.IsZero() {
				t.Errorf("a stream is wanted at %v of one that answers by UDP", at)
			}
			e.servers.connector.dialed(noon, s, newMemoryStream(), destination(9), nil) // begun before
			if s.stream.conn != nil {
				t.Error("a stream that is of no use was kept")
			}
			now := noon
			s.init.retry.Stop()
			e.servers.connector.beginAt(now, s, netip.AddrPort{})
			for range 100 {
				now = now.Add(time.Second)
				s.stream.dialing = true
				e.pass(now)
			}
			s.stream.dialing = false
			if s.state() == control.StateOlder || len(e.told(control.EventNoAnswer)) != 1 {
				t.Errorf("silent for 100 s, state %v", s.state())
			}
			if e.servers.connector.streamAt(now, s).IsZero() {
				t.Error("no stream is wanted")
			}
		})
	}
}
