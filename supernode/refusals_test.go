package supernode

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
	"hedgerow/supernode/lists"
)

// logged is a log at debug level that is read back line by line.
type logged struct{ bytes.Buffer }

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&l.Buffer, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// refusals returns the lines about refusals since the last call.
func (l *logged) refusals(t testing.TB) (lines []map[string]any) {
	t.Helper()
	for s := bufio.NewScanner(&l.Buffer); s.Scan(); {
		line := make(map[string]any)
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == "refused" {
			lines = append(lines, line)
		}
	}
	l.Reset()
	return lines
}

// raw is a control message with any value.
type raw struct {
	typ   protocol.MsgType
	value []byte
}

func (m raw) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, byte(m.typ)), uint16(len(m.value)))
	return append(dst, m.value...)
}

// stage is a supernode with a log, two members of one community, one of another, a
// member by a stream, and an edge with a session only.
type stage struct {
	*rig
	log                              logged
	community                        *crypto.Community
	a, b, foreign, byStream, pending *fakeEdge
}

func newStage(t *testing.T, change func(*Config)) *stage {
	s := &stage{}
	streams := newNoStreams()
	streams.from("192.0.2.99", side(1))
	cfg := Config{Log: s.log.logger(), Streams: streams, TURN: withTURN().TURN}
	if change != nil {
		change(&cfg)
	}
	s.rig = newRig(t, cfg)
	s.community = testCommunity("c", "k")
	s.a, s.b = s.edge(s.community, "a", 1).join(), s.edge(s.community, "b", 2).join()
	s.foreign = s.edge(testCommunity("other", "k"), "foreign", 3).join()
	s.byStream = s.edge(s.community, "by stream", 4)
	s.byStream.addr = side(1)
	s.byStream.join()
	s.pending = s.edge(s.community, "pending", 5)
	s.pending.connect()
	s.pending.ask()
	s.log.Reset()
	return s
}

// refusedEdge has the pending edge register with a change.
func (s *stage) refusedEdge(change func(m *protocol.Register)) {
	m := s.pending.request()
	change(m)
	s.pending.register(m)
}

// header puts a header of a hop in front of junk.
func (s *stage) packet(h protocol.Header, size int) []byte {
	pkt := junk(size)
	h.XF, h.KI = protocol.XFHop, protocol.KINone
	h.Put(pkt)
	return s.a.hide(pkt)
}

// exhaust spends what strangers may cost.
func exhaust(now time.Time, a *answers) {
	for a.effort.spend(now, answerCost, answerShare) {
	}
}

func repeat(n int, f func()) {
	for range n {
		f()
	}
}

// TestEveryRefusalHasItsReason causes each refusal of the control half once or more
// and wants its counter and a debug line that says who it is about.
func TestEveryRefusalHasItsReason(t *testing.T) {
	sign := func(s *stage, m *protocol.Register) {
		m.SigC = crypto.SignMembership(s.community.Rendezvous(), s.pending.hash, m.CID, m.MAC, s.pending.id.Static)
	}
	hello := func(s *stage) []byte {
		pkt := protocol.AppendHello(nil, [16]byte{1})
		s.s.strangers.greeter.mask.Hide(s.out.sc, pkt)
		return pkt
	}
	bind := func(n byte) []byte { return stun.AppendRequest(nil, [12]byte{n}) }
	for _, test := range []struct {
		reason string
		says   string // an attribute of the line
		change func(*Config)
		does   func(s *stage)
	}{
		{reason: "short", says: "address", does: func(s *stage) { s.deliver(address(9), []byte("GET / HTTP")) }},
		{reason: "long", says: "address", does: func(s *stage) { s.deliver(address(9), junk(2049)) }},
		{reason: "header", says: "address", does: func(s *stage) { s.deliver(address(9), s.a.hide(make([]byte, 100))) }},
		{reason: "unexpected", says: "address", does: func(s *stage) { s.deliver(address(9), s.packet(protocol.Header{Type: protocol.TypeReset}, 32)) }},
		{reason: "transform", says: "address", does: func(s *stage) {
			pkt := junk(64)
			protocol.Header{Type: protocol.TypeData, XF: protocol.XFDataGCM}.Put(pkt)
			s.deliver(address(9), s.a.hide(pkt))
		}},
		{reason: "unknown-session", says: "address", does: func(s *stage) {
			s.deliver(address(9), s.packet(protocol.Header{Type: protocol.TypeData, RX: 1}, 64))
		}},
		{reason: "expired-session", says: "session", does: func(s *stage) {
			s.now = s.now.Add(guestTime + time.Second)
			s.deliver(s.pending.addr, s.pending.seal())
		}},
		{reason: "reset-rate", says: "address", does: func(s *stage) {
			repeat(resetBurst+1, func() {
				s.deliver(address(9), s.packet(protocol.Header{Type: protocol.TypeData, RX: uint32(s.s.sessions.boot+1) << 24}, 64))
			})
		}},
		{reason: "mac1", says: "err", does: func(s *stage) { s.deliver(address(9), s.packet(protocol.Header{Type: protocol.TypeInit}, 192)) }},
		{reason: "length", says: "err", does: func(s *stage) { s.deliver(address(9), s.packet(protocol.Header{Type: protocol.TypeInit}, 191)) }},
		{reason: "cookie", says: "address", change: func(c *Config) { c.Limits.InitRate = 6 }, does: func(s *stage) {
			repeat(2, func() { _, pkt := s.a.initiate(nil); s.deliver(address(9), pkt) })
		}},
		{reason: "init-rate", says: "address", does: func(s *stage) {
			repeat(101, func() { _, pkt := s.a.initiate(nil); s.deliver(address(9), pkt) })
			s.a.addr = address(9)
			cookie := s.a.cookie()
			repeat(101, func() { _, pkt := s.a.initiate(&cookie); s.deliver(address(9), pkt) })
		}},
		{reason: "guests", says: "address", does: func(s *stage) {
			s.s.strangers.handshakes.strangers.use(s.now)
			s.a.addr = address(9)
			cookie := s.a.cookie()
			_, pkt := s.a.initiate(&cookie)
			s.deliver(address(9), pkt)
		}},
		{reason: "displaced", says: "address", change: func(c *Config) { c.Limits.Guests = 1 }, does: func(s *stage) {
			s.edge(s.community, "another", 9).connect()
		}},
		{reason: "stamp", says: "address", does: func(s *stage) {
			_, pkt := s.a.initiate(nil)
			repeat(2, func() { s.deliver(address(9), bytes.Clone(pkt)) })
		}},
		{reason: "handshake-self", says: "err", does: func(s *stage) {
			e := s.edge(s.community, "supernode", 9)
			_, pkt := e.initiate(nil)
			s.deliver(address(9), pkt)
		}},
		{reason: "hello", says: "address", does: func(s *stage) { repeat(helloBurst+1, func() { s.deliver(address(9), hello(s)) }) }},
		{reason: "hello-total", says: "address", does: func(s *stage) {
			exhaust(s.now, &s.s.strangers.greeter.answers)
			s.deliver(address(9), hello(s))
		}},
		{reason: "reset-total", says: "address", does: func(s *stage) {
			exhaust(s.now, &s.s.sessions.resetter.answers)
			s.deliver(address(9), s.packet(protocol.Header{Type: protocol.TypeData, RX: uint32(s.s.sessions.boot+1) << 24}, 64))
		}},
		{reason: "hello-off", says: "address", change: func(c *Config) { c.Cover.HelloOff = true }, does: func(s *stage) { s.deliver(address(9), hello(s)) }},
		{reason: "repeated", says: "address", change: func(c *Config) { c.Cover.ObfsKey = []byte("k") }, does: func(s *stage) {
			_, pkt := s.a.initiate(nil)
			repeat(2, func() { s.deliver(address(9), bytes.Clone(pkt)) })
		}},
		{reason: "stun", says: "address", does: func(s *stage) {
			indication := bind(1)
			indication[1] = 0x11
			s.deliver(address(9), indication)
		}},
		{reason: "stun-rate", says: "address", does: func(s *stage) { repeat(stunRate+1, func() { s.deliver(address(9), bind(1)) }) }},
		{reason: "stun-total", says: "address", does: func(s *stage) {
			exhaust(s.now, &s.s.strangers.binding.answers)
			s.deliver(address(9), bind(1))
		}},
		{reason: "stun-short", says: "address", does: func(s *stage) {
			bare := bind(1)[:20]
			bare[3] = 0
			s.deliver(address(9), bare)
		}},
		{reason: "stun-stream", says: "stream", does: func(s *stage) { s.deliver(side(1), bind(1)) }},
		{reason: "stun-port", says: "address", does: func(s *stage) {
			s.deliver(address(9), stun.Request{ID: [12]byte{1}, ChangePort: true}.Append(nil))
		}},

		{reason: "open", says: "mac", does: func(s *stage) {
			s.deliver(s.a.addr, s.packet(protocol.Header{Type: protocol.TypeData, RX: s.a.session.RemoteIndex(), CTR: 99}, 64))
		}},
		{reason: "replay", says: "mac", does: func(s *stage) {
			pkt := s.a.seal()
			repeat(2, func() { s.deliver(s.a.addr, bytes.Clone(pkt)) })
		}},
		{reason: "control", says: "mac", does: func(s *stage) { s.a.ask(raw{200, nil}) }},
		{reason: "control-rate", says: "mac", does: func(s *stage) {
			repeat(controlBurst+1, func() { s.a.ask(&protocol.Query{MAC: s.b.mac}) })
		}},
		{reason: "unproved", says: "mac", does: func(s *stage) { s.deliver(address(9), s.a.seal(&protocol.Query{MAC: s.b.mac})) }},
		{reason: "unregistered", says: "session", does: func(s *stage) { s.pending.ask(&protocol.Query{}) }},
		{reason: "ping-malformed", says: "mac", does: func(s *stage) { s.a.ask(raw{protocol.MsgPing, []byte("x")}) }},
		{reason: "pong-malformed", says: "mac", does: func(s *stage) { s.a.ask(raw{protocol.MsgPong, []byte("x")}) }},
		{reason: "pong-unexpected", says: "mac", does: func(s *stage) { s.a.ask(&protocol.Pong{}) }},
		{reason: "whoami-malformed", says: "mac", does: func(s *stage) { s.a.ask(raw{protocol.MsgWhoami, []byte("x")}) }},
		{reason: "direct-malformed", says: "mac", does: func(s *stage) { s.a.ask(raw{protocol.MsgDirect, []byte("x")}) }},
		{reason: "query-malformed", says: "mac", does: func(s *stage) { s.a.ask(raw{protocol.MsgQuery, []byte("x")}) }},
		{reason: "query-unknown", says: "mac", does: func(s *stage) { s.a.ask(&protocol.Query{MAC: s.foreign.mac}) }},
		{reason: "list-rate", says: "mac", does: func(s *stage) { repeat(listBurst+1, func() { s.a.ask(&protocol.Query{}) }) }},
		{reason: "list-part", says: "mac", does: func(s *stage) { s.a.ask(&protocol.ListPart{Entries: make([]protocol.Listed, 1)}) }},
		{reason: "punch-malformed", says: "mac", does: func(s *stage) { s.a.ask(raw{protocol.MsgPunch, []byte("x")}) }},
		{reason: "punch-rate", says: "mac", does: func(s *stage) {
			repeat(punchBurst+1, func() { s.a.ask(&protocol.Punch{Handle: s.b.ack.Handle}) })
		}},
		{reason: "punch-target", says: "mac", does: func(s *stage) { s.a.ask(&protocol.Punch{Handle: s.foreign.ack.Handle}) }},
		{reason: "punch-stream", says: "mac", does: func(s *stage) { s.a.ask(&protocol.Punch{Handle: s.byStream.ack.Handle}) }},
		{reason: "pushes", says: "members", does: func(s *stage) {
			rate := s.s.registry.limits.SourceFloods
			takeAtOnce(s.s.controls.allowance.floods, s.now, s.a.addr.Addr(), rate, rate, rate)
			s.a.seq = 2
			s.a.join()
		}},

		{reason: "register-malformed", says: "session", does: func(s *stage) { s.pending.ask(raw{protocol.MsgRegister, []byte("x")}) }},
		{reason: "register-retired", says: "mac", does: func(s *stage) {
			old := *s.a
			s.a.join()
			old.register(old.request())
		}},
		{reason: "register-mac", says: "mac", does: func(s *stage) { s.refusedEdge(func(m *protocol.Register) { m.MAC = protocol.Broadcast }) }},
		{reason: "register-community", says: "id", does: func(s *stage) { s.refusedEdge(func(m *protocol.Register) { m.CID[0] ^= 1 }) }},
		{reason: "register-membership", says: "id", does: func(s *stage) { s.refusedEdge(func(m *protocol.Register) { m.SigC[0] ^= 1 }) }},
		{reason: "register-statement", says: "id", does: func(s *stage) { s.refusedEdge(func(m *protocol.Register) { m.Statement[165] ^= 1 }) }},
		{reason: "register-mismatch", says: "id", does: func(s *stage) {
			s.refusedEdge(func(m *protocol.Register) { m.MAC[5] ^= 1; sign(s, m) })
		}},
		{reason: "register-other", says: "id", does: func(s *stage) {
			s.a.community = testCommunity("b", "k")
			s.a.register(s.a.request())
		}},
		{reason: "register-listing", says: "id", does: func(s *stage) {
			s.refusedEdge(func(m *protocol.Register) {
				m.Listing = &protocol.Listing{NameHash: m.NH, Authority: [32]byte(identity("k").ID)}
			})
		}},
		{reason: "register-list-wanted", says: "id", does: func(s *stage) {
			e := newListed(s.rig, "listed").edge("e", 30)
			e.connect()
			e.register(e.claim(nil))
		}},
		{reason: "register-list-full", says: "id", does: func(s *stage) {
			s.s.registry.lists = lists.New(lists.Config{Size: 1, Sources: s.s.registry.front.sourcesIn})
			s.s.controls.listings.table, s.s.reviews.lists.table = s.s.registry.lists, s.s.registry.lists
			l := newListed(s.rig, "listed")
			e := l.edge("e", 30)
			e.connect()
			e.register(e.claim(l.sign(1, "e")))
		}},
		{reason: "register-not-listed", says: "id", does: func(s *stage) {
			l := newListed(s.rig, "listed")
			l.edge("a", 30).bring(l.sign(1, "a"))
			l.edge("e", 31).bring(nil)
		}},
		{reason: "register-old", says: "id", does: func(s *stage) { s.a.seq = 0; s.a.register(s.a.request()) }},
		{reason: "register-mac-taken", says: "holder", does: func(s *stage) {
			s.pending.mac = s.b.mac
			s.pending.register(s.pending.request())
		}},
		{reason: "register-ip-taken", says: "holder", does: func(s *stage) {
			s.refusedEdge(func(m *protocol.Register) { m.Prefix, m.Features = s.b.ack.Lease, protocol.FeatureStatic })
		}},
		{reason: "register-pool", says: "wants", change: func(c *Config) { c.Pool = netip.MustParsePrefix("10.0.0.0/29") }, does: func(s *stage) {
			for n := range 6 {
				e := s.edge(s.community, fmt.Sprint("more", n), 20+n)
				e.connect()
				e.register(e.request())
			}
		}},
		{reason: "register-communities", says: "community", change: func(c *Config) { c.Limits.Communities = 2 }, does: func(s *stage) {
			e := s.edge(testCommunity("third", "k"), "e", 20)
			e.connect()
			e.register(e.request())
		}},
		{reason: "register-edges", says: "id", change: func(c *Config) { c.Limits.Edges = 4 }, does: func(s *stage) { s.pending.register(s.pending.request()) }},
		{reason: "register-newcomers", says: "id", does: func(s *stage) {
			repeat(newcomerBurst, func() {
				s.s.controls.allowance.newcomers.Take(s.now, s.pending.addr.Addr(), newcomerRate, newcomerBurst)
			})
			s.pending.register(s.pending.request())
		}},
		{reason: "turn-identity", says: "peer", does: func(s *stage) { s.s.turn.allowed("1234", s.a.addr.Addr()) }},
		{reason: "turn-peer", says: "peer", does: func(s *stage) {
			s.s.turn.allowed(identityOfTURN(s.a.ack), s.foreign.addr.Addr())
		}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			s := newStage(t, test.change)
			before := s.s.Status().Drops[test.reason]
			test.does(s)
			if n := s.s.Status().Drops[test.reason]; n <= before {
				t.Fatalf("%d times, of %v", n-before, s.s.Status().Drops)
			}
			lines := s.log.refusals(t)
			i := slices.IndexFunc(lines, func(l map[string]any) bool { return l["reason"] == test.reason })
			if i < 0 || lines[i][test.says] == nil || lines[i]["level"] != "DEBUG" {
				t.Fatalf("wanted %q in one of %v", test.says, lines)
			}
		})
	}
}

// TestReasonsHaveNames: no two counters share a name, in status and metrics.
func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range dropReasons {
		name := r.String()
		if name == "" || seen[name] || strings.ContainsAny(name, " _") || strings.HasPrefix(name, "handshake") {
			t.Errorf("reason %d: %q", r, name)
		}
		seen[name] = true
	}
}

// TestRefusalsCostNothingUnsaid: without debug lines a refusal is a counter.
func TestRefusalsCostNothingUnsaid(t *testing.T) {
	r := newRig(t, Config{Log: slog.New(slog.NewTextHandler(panicking{}, nil))})
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	h := r.s.sessions.byIdx[e.session.RemoteIndex()]
	if n := testing.AllocsPerRun(100, func() { r.s.refused.about(dropOpen, false, r.out.origin(e.addr), h) }); n != 0 {
		t.Errorf("a refusal allocates %v times", n)
	}
}

// panicking is a file that nothing may be written to.
type panicking struct{}

func (panicking) Write(b []byte) (int, error) { panic(string(b)) }

// TestRefusalLinesAreBounded: a flood at debug level fills no disk, and what was
// left out is said with the next line.
func TestRefusalLinesAreBounded(t *testing.T) {
	var log logged
	r := newRig(t, Config{Log: log.logger()})
	r.pass(time.Minute, time.Minute)
	repeat(500, func() { r.deliver(address(1), []byte("junk")) })
	r.deliver(address(1), junk(2049)) // another reason has lines of its own
	if lines := log.refusals(t); len(lines) != strangerLinesBurst+1 || lines[strangerLinesBurst]["reason"] != "long" {
		t.Errorf("%v", lines)
	}
	r.now = r.now.Add(strangerLinesEvery)
	r.deliver(address(1), []byte("junk"))
	r.deliver(address(1), []byte("junk"))
	if lines := log.refusals(t); len(lines) != 1 || lines[0]["left_out"] != 500.0-strangerLinesBurst {
		t.Errorf("%v", lines)
	}
	if r.dropped(dropShort) != 502 {
		t.Errorf("%d counted", r.dropped(dropShort))
	}

	// What takes a session has lines of its own, and many more.
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	repeat(memberLinesBurst+10, func() { e.ask(&protocol.Pong{}) })
	if lines := log.refusals(t); len(lines) != memberLinesBurst {
		t.Errorf("%d lines", len(lines))
	}
	r.now = r.now.Add(time.Second / memberLinesRate)
	e.ask(&protocol.Pong{})
	if lines := log.refusals(t); len(lines) != 1 || lines[0]["left_out"] != 10.0 {
		t.Errorf("%v", lines)
	}
}

// TestRegisterRefusalNamesTheClaim: the line about a refused registration says who
// the edge claims to be, so that its owner can be found.
func TestRegisterRefusalNamesTheClaim(t *testing.T) {
	s := newStage(t, nil)
	s.pending.mac = s.b.mac
	s.pending.register(s.pending.request())
	lines := s.log.refusals(t)
	if len(lines) != 1 {
		t.Fatalf("%v", lines)
	}
	cid := s.community.ID()
	for attribute, want := range map[string]string{
		"reason": "register-mac-taken", "mac": s.b.mac.String(), "holder": s.b.mac.String(), "address": s.pending.addr.String(),
		"id": crypto.ShortID(s.pending.id.ID), "community": communityText(cid),
	} {
		if got := fmt.Sprint(lines[0][attribute]); got != want {
			t.Errorf("%s: %s, want %s", attribute, got, want)
		}
	}
}
