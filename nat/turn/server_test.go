package turn

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestQuotas(t *testing.T) {
	inScene(t, ServerLimits{PerIdentity: 2, Allocations: 3}, func(t *testing.T, s *scene) {
		var all []*station
		for i, test := range []struct {
			identity string
			taken    bool
		}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"c", false}} {
			st := s.station(netip.AddrPortFrom(clientAt.Addr(), uint16(5000+i)), test.identity)
			defer st.leave()
			all = append(all, st)
			_, err := st.Allocate(t.Context())
			var refused *ServerError
			if taken := err == nil; taken != test.taken || !taken && (!errors.As(err, &refused) || refused.Code != codeCapacity) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if got := s.server.Stats(); got.Allocations != 3 || got.Refused != 2 {
			t.Errorf("%+v", got)
		}
		// One that is not kept ends by itself, and then there is room.
		s.wire.setCut(func(from, _ netip.AddrPort, _ []byte) bool { return from == clientAt })
		time.Sleep(lifetime + time.Minute)
		if _, err := all[4].Allocate(t.Context()); err != nil {
			t.Error(err)
		}
		s.wire.setCut(nil)
	})
}

// Nobody may be sent to who is not an edge on the internet.
func TestReachable(t *testing.T) {
	public := &Server{cfg: ServerConfig{Address: serverAt.Addr()}}
	site := &Server{cfg: ServerConfig{Address: netip.MustParseAddr("10.9.8.7")}}
	for address, want := range map[string][2]bool{
		"192.0.2.9":       {true, true},
		"198.51.100.7":    {true, true},
		"10.1.2.3":        {false, true},
		"172.16.0.1":      {false, true},
		"192.168.1.10":    {false, true},
		"100.64.3.4":      {false, true},
		"127.0.0.1":       {false, false},
		"0.0.0.0":         {false, false},
		"0.1.2.3":         {false, false},
		"169.254.169.254": {false, false},
		"224.0.0.1":       {false, false},
		"240.0.0.1":       {false, false},
		"255.255.255.255": {false, false},
		"198.18.0.1":      {false, false},
		"2001:db8::1":     {false, false},
		"203.0.113.1":     {false, true}, // the one server's own
		"10.9.8.7":        {false, false},
	} {
		a := netip.MustParseAddr(address)
		if got := [2]bool{public.reachable(a), site.reachable(a)}; got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

func TestPeersAreBounded(t *testing.T) {
	r := &relaySocket{peers: make(map[netip.Addr]time.Time)}
	now := time.Unix(1e9, 0)
	peer := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}) }
	for i := range maxPeers {
		if !r.mayTalkTo(now.Add(time.Duration(i)*time.Second), peer(i)) {
			t.Fatal(i)
		}
	}
	if r.mayTalkTo(now.Add(maxPeers*time.Second), peer(maxPeers)) {
		t.Error("one too many")
	}
	if !r.mayTalkTo(now.Add(peerTime), peer(maxPeers)) {
		t.Error("the oldest did not give way")
	}
}

// Another identity may not use the allocation of one, not even from its address,
// and a user's time passes.
func TestAuthenticate(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, _ := s.allocate(clientAt, "a")
		defer st.leave()
		synctest.Wait()
		soon := time.Now().Add(time.Minute)
		a, password := Credentials(secret, "a", soon)
		b, _ := Credentials(secret, "b", soon)
		past, _ := Credentials(secret, "a", time.Now())
		for _, test := range []struct {
			user, realm string
			client      netip.AddrPort
			ok          bool
		}{
			{a, "turn", clientAt, true},
			{b, "turn", clientAt, false},
			{b, "turn", peerAt, true},
			{a, "other", clientAt, false},
			{past, "turn", clientAt, false},
			{"a", "turn", clientAt, false},
			{"", "turn", clientAt, false},
			{"99999999999:", "turn", clientAt, false},
			{":a", "turn", clientAt, false},
			{"99999999999999999999:a", "turn", clientAt, false},
			{a + strings.Repeat("a", MaxUser), "turn", clientAt, false},
		} {
			got, ok := s.server.authenticate(test.user, test.realm, test.client)
			if ok != test.ok || ok && test.user == a && got != password {
				t.Errorf("%q of realm %q from %v: %v", test.user, test.realm, test.client, ok)
			}
		}
	})
}

// What pion would answer without need, and what would make it work too much,
// does not pass.
func TestGate(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, _ := s.allocate(clientAt, "a")
		defer st.leave()
		now := time.Now()
		stranger := netip.MustParseAddrPort("192.0.2.66:6")
		seconds := func(n byte) []byte { return attribute(attrLifetime, 0, 0, n>>6, n<<2) }
		for name, test := range map[string]struct {
			pkt               []byte
			member, strangers bool
		}{
			"allocate":              {message(uint16(methodAllocate)), true, true},
			"allocate for 600 s":    {message(uint16(methodAllocate), seconds(150)), true, true},
			"allocate for 596 s":    {message(uint16(methodAllocate), seconds(149)), false, false},
			"delete":                {message(uint16(methodRefresh), seconds(0)), true, false},
			"odd lifetime":          {message(uint16(methodRefresh), attribute(attrLifetime, 0, 0, 0)), false, false},
			"pair of ports":         {message(uint16(methodAllocate), attribute(attrEvenPort, 0x80)), false, false},
			"reservation":           {message(uint16(methodAllocate), attribute(attrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)), false, false},
			"permission":            {message(uint16(methodCreatePermission)), true, false},
			"first channel":         {message(uint16(methodChannelBind), attribute(attrChannelNumber, 0x40, 0, 0, 0)), true, false},
			"last channel":          {message(uint16(methodChannelBind), attribute(attrChannelNumber, 0x40, 0xFF, 0, 0)), true, false},
			"one more":              {message(uint16(methodChannelBind), attribute(attrChannelNumber, 0x41, 0, 0, 0)), false, false},
			"send":                  {message(typeSend), true, false},
			"data":                  {message(typeData), false, false},
			"channel data":          {channelData(firstChannel, []byte("x")), true, false},
			"channel data, padded":  {append(channelData(firstChannel, []byte("x")), 0, 0, 0), true, false},
			"channel data and more": {append(channelData(firstChannel, []byte("x")), 0, 0, 0, 0), false, false},
			"other channel":         {channelData(lastChannel+1, []byte("x")), false, false},
			"binding":               {message(0x0001), false, false},
			"connect":               {message(0x000A), false, false},
			"response":              {message(0x0103), false, false},
			"long":                  {message(uint16(methodAllocate), attribute(0x8022, make([]byte, maxDatagram)...)), false, false},
			"ours":                  {make([]byte, 96), false, false},
		} {
			if got := s.server.gate.admits(now, test.pkt, clientAt); got != test.member {
				t.Errorf("%s of a client: %v", name, got)
			}
			if got := s.server.gate.admits(now, test.pkt, stranger); got != test.strangers {
				t.Errorf("%s of a stranger: %v", name, got)
			}
		}
	})
}

// A stranger, and whoever's address a stranger writes, gets few answers.
func TestStrangersAreLimited(t *testing.T) {
	g := newGate(nil, newAllocations(ServerLimits{}), &serverCounters{})
	now := time.Unix(1e9, 0)
	pkt := message(uint16(methodAllocate))
	count := func(addr func(i int) netip.AddrPort) (n int) {
		for i := range 2 * strangersRate {
			if g.admits(now, pkt, addr(i)) {
				n++
			}
		}
		return n
	}
	one := func(i int) netip.AddrPort { return netip.AddrPortFrom(peerAt.Addr(), uint16(i+1)) }
	if n := count(one); n != strangerBurst {
		t.Errorf("%d requests of one address were let in at once", n)
	}
	now = now.Add(time.Second)
	if n := count(one); n != strangerRate {
		t.Errorf("%d requests of one address were let in in a second", n)
	}
	now = now.Add(time.Second)
	many := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, byte(i >> 8), byte(i), 1}), 1)
	}
	if n := count(many); n != strangersRate {
		t.Errorf("%d requests of many addresses were let in", n)
	}
}

// Each direction of an allocation passes what its rate allows.
func TestRate(t *testing.T) {
	inScene(t, ServerLimits{Rate: 10_000}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		if err := st.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		s.converse(st, relayed, "before")
		time.Sleep(time.Second)
		for range 2 {
			out, in := 0, 0
			for range 25 {
				if err := st.Write(peerAt, make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				if text, _ := s.peer.read(); text != "" {
					out++
				}
				s.peer.send(relayed, make([]byte, 1000))
				if st.read() != "" {
					in++
				}
			}
			if out != 10 || in != 10 {
				t.Errorf("%d out and %d in, want 10", out, in)
			}
			time.Sleep(time.Second)
		}
		if n := s.server.Stats().Limited; n != 60 {
			t.Errorf("%d were limited", n)
		}
	})
}

// What leaves for an identity is told, in parts and when its allocation ends, and when no more
// may nothing leaves until more may again.
func TestSpend(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		datagrams, bytes, most := 0, 0, 200_000
		s.server.cfg.Spend = func(identity string, n, size int) bool {
			if identity != "a" {
				t.Errorf("of %q", identity)
			}
			datagrams, bytes = datagrams+n, bytes+size
			return bytes < most
		}
		st, relayed := s.allocate(clientAt, "a")
		if err := st.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		passed := func(n int) (out, in int) {
			for range n {
				if err := st.Write(peerAt, make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				if text, _ := s.peer.read(); text != "" {
					out++
				}
				s.peer.send(relayed, make([]byte, 1000))
				if st.read() != "" {
					in++
				}
			}
			return out, in
		}
		out, in := passed(200)
		if n := out + in; n != 4*(billBytes/1000+1) || bytes != n*1000 || datagrams != n {
			t.Errorf("%d out and %d in passed; told of %d datagrams, %d bytes", out, in, datagrams, bytes)
		}
		most = 300_000
		if out, in := passed(1); out+in != 0 {
			t.Error("it is asked again at once")
		}
		time.Sleep(billAgain)
		out, in = passed(5)
		if out != 5 || in != 5 {
			t.Errorf("%d out and %d in passed when more may again", out, in)
		}
		st.leave()
		if want := 4*(billBytes/1000+1) + 10; datagrams != want || bytes != 1000*want {
			t.Errorf("told of %d datagrams and %d bytes at last, want %d", datagrams, bytes, want)
		}
	})
}

// Many peers at once: each gets its own, by channels as far as they go and by
// indications beyond.
func TestManyPeers(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		var all []*socket
		for i := range maxChannels + 20 {
			peer, err := s.wire.listen(netip.AddrPortFrom(peerAt.Addr(), uint16(10_000+i)))
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			all = append(all, peer)
		}
		if err := st.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			for i, peer := range all {
				text := fmt.Sprint(round, i)
				if err := st.Write(peer.local, []byte(text)); err != nil {
					t.Fatal(err)
				}
				if got, from := peer.read(); got != text || from != relayed {
					t.Fatalf("round %d, peer %d: %q from %v", round, i, got, from)
				}
				peer.send(relayed, []byte(text))
				if got := st.read(); got != fmt.Sprint(peer.local, " ", text) {
					t.Fatalf("round %d, peer %d: %q", round, i, got)
				}
			}
			time.Sleep(8 * time.Minute)
		}
	})
}

func TestServerConfig(t *testing.T) {
	w := newWire()
	conn, err := w.listen(serverAt)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewServer(ServerConfig{Conn: conn, Ports: [2]uint16{2, 1}, Realm: "a\nb", Bind: netip.IPv6Unspecified()})
	for _, want := range []string{"told", "bound", "range: 2 to 1", "16 bytes", "realm", "rule"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v says nothing of %s", err, want)
		}
	}
	if w.sockets[serverAt] != nil {
		t.Error("the socket is open")
	}
	if _, err := NewServer(ServerConfig{}); err == nil {
		t.Error("a server without anything")
	}
}

// With all ports taken an allocation fails, and nothing is left of it.
func TestNoPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, wire: newWire(), ports: [2]uint16{7, 7}}
		s.start(ServerLimits{})
		defer s.server.Close()
		st := s.station(clientAt, "a")
		defer st.leave()
		blocker, _ := s.wire.listen(netip.AddrPortFrom(serverAt.Addr(), 7))
		defer blocker.Close()
		var refused *ServerError
		if _, err := st.Allocate(t.Context()); !errors.As(err, &refused) || refused.Code != codeCapacity {
			t.Error(err)
		}
		if n := s.server.Stats().Allocations; n != 0 {
			t.Errorf("%d allocations", n)
		}
	})
}
