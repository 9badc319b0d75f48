package supernode

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/transport"
)

// counting is a socket that counts what is sent to each address.
type counting struct {
	*recorder
	packets map[netip.AddrPort]int
}

func (c *counting) WriteBatch(ds []transport.Datagram) (int, error) {
	for i := range ds {
		for range packets(&ds[i]) {
			c.packets[ds[i].Addr]++
		}
	}
	return len(ds), nil
}

// total returns how many datagrams were sent, and forgets them.
func (c *counting) total() (n int) {
	for _, p := range c.packets {
		n += p
	}
	clear(c.packets)
	return n
}

// count has the supernode send to a socket that only counts.
func (r *rig) count() *counting {
	c := &counting{recorder: r.conn, packets: map[netip.AddrPort]int{}}
	r.s.sockets.conn = c
	return c
}

// TestUnicastSpaceOnly: a network that is no unicast space, or half the internet, is
// refused, and no address is looked for in it. Each took 22 ms under the mutex.
func TestUnicastSpaceOnly(t *testing.T) {
	r := newRig(t, Config{})
	for i, wanted := range []string{
		"224.0.0.1/4", "224.0.0.1/24", "239.255.255.250/8", "127.0.0.1/8", "127.0.0.1/32", "240.0.0.1/4", "255.255.255.255/32",
		"0.0.0.1/0", "0.0.0.1/8", "129.1.1.1/1", "8.8.8.1/7", "96.0.0.1/3",
		"ff00::1/8", "ff02::1/64", "::1/128", "::2/64", "::1/0", "2001:db8::1/3",
	} {
		e := r.edge(testCommunity("c", "k"), fmt.Sprint("e", i), i)
		e.connect()
		m := e.request()
		m.Prefix = prefix(wanted)
		if ack, nak := e.register(m); ack != nil || nak == nil || nak.Code != protocol.CodePool || nak.Prefix != m.Prefix {
			t.Errorf("%s: ACK %+v NAK %+v", wanted, ack, nak)
		}
		c := &community{}
		if _, ok := c.leaseFor(r.now, wish{prefix: m.Prefix}); ok || c.addresses.leased.looked != 0 {
			t.Errorf("%s: %d steps to find an address", wanted, c.addresses.leased.looked)
		}
	}
	if st := r.s.Status(); st.Leases != 0 || len(st.Communities) != 0 {
		t.Errorf("something was entered: %+v", st)
	}
}

// TestCrowdedNetwork: the next free address is found as fast in a network of which
// a million addresses are taken.
func TestCrowdedNetwork(t *testing.T) {
	network := prefix("10.0.0.0/8")
	var taken leased
	_, base := split(network.Addr())
	for n := range uint32(1 << hostBits) {
		if n != 77_777 {
			taken.add(withLow(network.Addr(), base+n))
		}
	}
	taken.looked = 0
	for i := range 10_000 {
		p, ok := chooseAddress(network, [32]byte{byte(i), byte(i >> 8)}, &taken)
		if !ok || p.Addr() != withLow(network.Addr(), base+77_777) {
			t.Fatalf("got %v, %v", p, ok)
		}
	}
	if most := 10_000 * 2 * 2 * leasedLevels; taken.looked > most { // from its preferred address on, and before that
		t.Errorf("10 000 choices took %d steps, %d are enough", taken.looked, most)
	}
	taken.add(withLow(network.Addr(), base+77_777))
	if p, ok := chooseAddress(network, [32]byte{}, &taken); ok {
		t.Errorf("got %v of a full network", p)
	}
	if n := taken.len(); n != 1<<hostBits {
		t.Errorf("%d addresses", n)
	}
	for n := range uint32(1 << hostBits) {
		taken.remove(withLow(network.Addr(), base+n))
	}
	for level, words := range taken.levels {
		if len(words) != 0 {
			t.Errorf("level %d keeps %d words", level, len(words))
		}
	}
}

// TestReconnectRenewsNothing: an edge that makes a new session before each few REGISTERs
// has no more of them than one that does not.
func TestReconnectRenewsNothing(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1)
	acks, lists := 0, 0
	for range 30 {
		r.now = r.now.Add(20 * time.Millisecond) // INITs of one source are limited as well
		e.connect()
		for range 10 {
			if ack, _ := e.register(e.request()); ack != nil {
				acks++
			}
		}
		lists += int(r.dropped(dropListRate))
	}
	if most := controlBurst/registerCost + 2; acks > most {
		t.Errorf("%d REGISTERs were served instead of %d", acks, most)
	}
}

// TestWorkOfOneNetwork: however many static keys and addresses one has, what they cause
// together is bounded by the network that they are in, and others lose nothing.
func TestWorkOfOneNetwork(t *testing.T) {
	for name, source := range map[string]func(i int) netip.Addr{
		"an IPv4 address": func(int) netip.Addr { return netip.MustParseAddr("203.0.113.7") },
		"a /24":           func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) },
		"a /64": func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
		},
		"a /48": func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 6: byte(i >> 8), 7: byte(i)})
		},
	} {
		a := newAllowance(noFront())
		served := 0
		for i := range 60_000 {
			h := &hop{source: source(i)}
			h.static[0], h.static[1], h.static[2] = byte(i), byte(i>>8), byte(i>>16)
			for a.control(epoch, h, registerCost) {
				served++
			}
		}
		if most := 4 * sourceControlBurst / registerCost; served > most {
			t.Errorf("%s: %d REGISTERs at once, want %d at most", name, served, most)
		}
		honest, others := 0, 1000
		for i := range others {
			h := &hop{source: netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})}
			h.static[7], h.static[6] = byte(i), byte(i>>8)+1
			if a.control(epoch, h, registerCost) {
				honest++
			}
		}
		if honest < others*99/100 {
			t.Errorf("%s: only %d of %d others are served", name, honest, others)
		}
	}
}

// TestRestartsTakeTurns: a community all of whose edges restart delays the notices of
// another one by no more than its own. It was 52 s in the worst case.
func TestRestartsTakeTurns(t *testing.T) {
	r := newRig(t, Config{})
	loud, quiet := testCommunity("loud", "k"), testCommunity("quiet", "k")
	var many []*fakeEdge
	for i := range 60 {
		many = append(many, r.edge(loud, fmt.Sprint("e", i), 100+i).join())
	}
	friend := r.edge(quiet, "friend", 1).join()
	e := r.edge(quiet, "e", 2).join()
	r.now = r.now.Add(time.Minute)
	r.pass(time.Second, pace)
	for _, other := range many {
		other.seq++
		other.join()
	}
	e.seq++
	e.join()
	if got := peers(t, friend.open(r.pass(2*pace, pace))); len(got) != 1 || got[0].MAC != e.mac {
		t.Errorf("%d notices within %v, while %d edges wait", len(got), 2*pace, len(r.s.notices.pushes.waiting))
	}
}

// TestOneNetworkDelaysNoOthersRestart: within a community, too.
func TestOneNetworkDelaysNoOthersRestart(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	var many []*fakeEdge
	for i := range 60 {
		many = append(many, r.edge(c, fmt.Sprint("e", i), 1+i).join()) // all of one /24
	}
	e := r.edge(c, "e", 2000).join()
	r.now = r.now.Add(time.Minute)
	for _, other := range many {
		other.seq++
		other.join()
	}
	e.seq++
	e.join()
	told := 0
	for _, p := range r.pass(3*pace, pace) {
		for _, other := range many {
			for _, info := range peers(t, other.open([]sent{p})) {
				if info.MAC == e.mac {
					told++
				}
			}
		}
	}
	if told < 50 {
		t.Errorf("%d of 60 were told of it within %v", told, 3*pace)
	}
}

// TestFloodsCountByTheCopy: identities at one address are no amplifier: what leaves for
// them is bounded together, however many there are and whichever of them sends.
func TestFloodsCountByTheCopy(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	var edges []*fakeEdge
	for i := range 100 {
		e := r.edge(c, fmt.Sprint("e", i), 1)
		e.index = uint32(i) << 12
		e.connect()
		e.register(e.request())
		edges = append(edges, e)
	}
	a, b := r.edge(testCommunity("other", "k"), "a", 500).join(), r.edge(testCommunity("other", "k"), "b", 501).join()
	out := r.count()
	const floods = 2000
	for i := range floods {
		r.deliver(edges[i%20].addr, edges[i%20].wrap(protocol.HandleAll, 0, junk(100)))
	}
	if n := out.total(); n > 50_000+20 || n < 20_000 { // each sender is told once
		t.Errorf("%d copies at once of %d floods", n, floods)
	}
	// A community elsewhere has its own.
	for range 100 {
		r.deliver(a.addr, a.wrap(protocol.HandleAll, 0, junk(100)))
	}
	if n := out.packets[b.addr]; n != 100 {
		t.Errorf("%d of 100 floods of others", n)
	}
}

// TestRegistersOfManySources: strangers at many addresses, each within what one may ask
// for, cost no more than their share; who is registered, and a newcomer from elsewhere,
// are served at once.
func TestRegistersOfManySources(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	known := r.edge(testCommunity("other", "k"), "known", 1).join()
	var strangers []*fakeEdge
	part := 1 // of what there is, and of those who ask for it
	if race {
		part = 4
	}
	proofs := &r.s.controls.registrar.proofs.strangers
	for i := range 800 / part { // of 100 networks
		r.now = r.now.Add(2 * time.Millisecond)
		e := r.edge(c, fmt.Sprint("e", i), i)
		e.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(i / 8), 1, 1}), uint16(1000+i))
		e.connect()
		r.deliver(e.addr, e.seal())
		strangers = append(strangers, e)
	}
	fresh := r.edge(testCommunity("third", "k"), "fresh", 2)
	fresh.connect()
	common := workShare * effortKept.Seconds() / registerTime.Seconds() / float64(part)
	reserve := quietShare * effortKept.Seconds() / registerTime.Seconds()
	for range int(common) * (part - 1) {
		proofs.common.spend(r.now, registerTime, workShare)
	}
	checked := 0
	for _, e := range strangers {
		m := e.request()
		m.SigC[0] ^= 1
		for range controlBurst/registerCost + 1 {
			if _, nak := e.register(m); nak != nil && nak.Code == protocol.CodeProof {
				checked++
			}
		}
	}
	if n := float64(checked); n < common || n > common+reserve {
		t.Errorf("%d signatures were checked at once", checked)
	}
	for _, e := range []*fakeEdge{known, fresh} {
		if ack, nak := e.register(e.request()); ack == nil {
			t.Errorf("%+v", nak)
		}
	}
}

// TestRefusedFloodsCostNothing: where others have used up what a community has, an edge
// that goes on trying pays for no copy that does not leave: neither itself nor its source.
func TestRefusedFloodsCostNothing(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{CommunityFloods: 100, EdgeFloods: 80, SourceFloods: 90}})
	c := testCommunity("c", "k")
	var edges []*fakeEdge
	for i := range 11 { // ten copies each time
		edges = append(edges, r.edge(c, fmt.Sprint("e", i), i+1).join())
	}
	flood := func(e *fakeEdge) int {
		return len(others(e, r.deliver(e.addr, e.wrap(protocol.HandleAll, 0, junk(100)))))
	}
	for i := range 10 {
		if n := flood(edges[1+i%2]); n != 10 {
			t.Fatalf("%d copies of flood %d", n, i)
		}
	}
	for range 1000 {
		if flood(edges[0]) != 0 {
			t.Fatal("the community has no budget")
		}
	}
	r.now = r.now.Add(100 * time.Millisecond) // the community has ten more
	if n := flood(edges[0]); n != 10 {
		t.Errorf("%d copies", n)
	}
	own := r.s.registry.byHandle[edges[0].ack.Handle]
	if !own.budget.floods.Has(r.now, 70, 80, 80) {
		t.Error("it has paid for floods that did not leave")
	}
	if !r.s.relayer.allowance.copies(r.now, own.hop, 80, 90) {
		t.Error("its source has paid for floods that did not leave")
	}
}

// others returns the packets that do not go to an edge itself.
func others(e *fakeEdge, packets []sent) []sent {
	return slices.DeleteFunc(packets, func(p sent) bool { return p.to == e.addr })
}

// TestBroadcastOfLargeCommunity: 250 edges that all start within ten seconds, and then do
// what hosts do (ARP, mDNS, SSDP: one packet for all every five seconds), lose nothing; and
// so do 1000 that have started. With the race detector they are 60: two million copies take
// it minutes, and each is made by the same code.
func TestBroadcastOfLargeCommunity(t *testing.T) {
	if race {
		broadcast(t, 60, 10, 1)
		return
	}
	t.Run("250", func(t *testing.T) { broadcast(t, 250, 10, 1) })
	t.Run("1000", func(t *testing.T) { broadcast(t, 1000, 0, 2) })
}

// broadcast has each of n edges flood a number of packets within ten seconds, and then one
// in five seconds for a number of times.
func broadcast(t *testing.T, n, first, times int) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	var edges []*fakeEdge
	for i := range n {
		r.now = r.now.Add(10 * time.Millisecond)
		edges = append(edges, r.edge(c, fmt.Sprint("e", i), i).join())
	}
	out := r.count()
	sent := 0
	flood := func(over time.Duration, each int) {
		for i := range each * n {
			r.now = r.now.Add(over / time.Duration(each*n))
			e := edges[i%n]
			r.deliver(e.addr, e.wrap(protocol.HandleAll, 0, junk(120)))
			sent++
		}
	}
	if first > 0 {
		flood(10*time.Second, first)
	}
	flood(5*time.Second*time.Duration(times), times)
	if got := out.total(); got != sent*(n-1) || r.dropped(dropRelayBudget) != 0 {
		t.Errorf("%d copies of %d floods, %d over budget", got, sent, r.dropped(dropRelayBudget))
	}
}

// TestUnregisterAndRegister: whatever a body does to a registration, it ends.
func TestUnregisterAndRegister(t *testing.T) {
	for name, body := range map[string]func(e *fakeEdge) []message{
		"left and came":   func(e *fakeEdge) []message { return []message{&protocol.Unregister{}, e.request()} },
		"came and left":   func(e *fakeEdge) []message { return []message{e.request(), &protocol.Unregister{}} },
		"left twice":      func(e *fakeEdge) []message { return []message{&protocol.Unregister{}, &protocol.Unregister{}} },
		"came twice":      func(e *fakeEdge) []message { return []message{e.request(), e.request()} },
		"left and asked":  func(e *fakeEdge) []message { return []message{&protocol.Unregister{}, &protocol.Query{}} },
		"left, came, was": func(e *fakeEdge) []message { return []message{&protocol.Unregister{}, e.request(), &protocol.Direct{}} },
	} {
		r := newRig(t, Config{})
		c := testCommunity("c", "k")
		e, friend := r.edge(c, "e", 1).join(), r.edge(c, "friend", 2).join()
		before := r.dropped(dropControl)
		if got := e.ask(body(e)...); len(got) != 0 || r.dropped(dropControl) != before+1 {
			t.Errorf("%s: %d answers", name, len(got))
		}
		if st := r.s.Status(); st.Edges != 2 {
			t.Errorf("%s: something was done: %+v", name, st)
		}
		// A session that has ended registers nobody.
		e.ask(&protocol.Unregister{})
		h := &hop{session: r.s.sessions.byIdx[friend.session.RemoteIndex()].session, static: e.id.Static, visit: visit{hash: e.hash, confirmed: true}}
		x := &exchange{now: r.now, out: r.out, hop: h, from: e.addr, sender: r.s.controls.sender, allowance: r.s.controls.allowance}
		r.s.controls.registrar.handleRegister(x, e.request().Append(nil)[3:])
		friend.stay(hopTime)
		if st := r.s.Status(); st.Edges != 1 || st.Sessions != 1 {
			t.Errorf("%s: it does not end: %+v", name, st)
		}
		if got := r.deliver(friend.addr, friend.wrap(protocol.HandleAll, 0, junk(50))); len(got) != 0 {
			t.Errorf("%s: its address is flooded on", name)
		}
	}
}

// TestRefusedApplicantDisplacesNobody: a REGISTER that is refused changes nothing, also
// where it had a right to a hardware address that somebody else has.
func TestRefusedApplicantDisplacesNobody(t *testing.T) {
	for name, refuse := range map[string]func(r *rig, e *fakeEdge, m *protocol.Register){
		"by its prefix": func(_ *rig, _ *fakeEdge, m *protocol.Register) { m.Prefix = prefix("224.0.0.1/4") },
		"by an address": func(r *rig, e *fakeEdge, m *protocol.Register) {
			m.Prefix, m.Features = r.edge(e.community, "third", 3).join().ack.Lease, protocol.FeatureStatic
		},
		"as a newcomer": func(r *rig, e *fakeEdge, _ *protocol.Register) {
			for r.s.controls.allowance.newcomers.Take(r.now, e.addr.Addr(), newcomerRate, newcomerBurst) {
			}
		},
	} {
		r := newRig(t, Config{})
		c := testCommunity("c", "k")
		owner := r.edge(c, "owner", 1)
		squatter := r.edge(c, "squatter", 2)
		squatter.mac = owner.mac
		squatter.join()
		owner.connect()
		m := owner.request()
		refuse(r, owner, m)
		if ack, nak := owner.register(m); ack != nil || nak == nil {
			t.Errorf("%s: ACK %v NAK %v", name, ack, nak)
		}
		if r.s.registry.byHandle[squatter.ack.Handle] == nil {
			t.Errorf("%s: the holder of the address is forgotten", name)
		}
	}
}

// TestOwnerTakesThePlaceOfASquatter: where every table is full, whoever has a right to
// a hardware address gets what the one had who has none.
func TestOwnerTakesThePlaceOfASquatter(t *testing.T) {
	for name, cfg := range map[string]Config{
		"registrations": {Limits: Limits{Edges: 2}}, "pool": {Pool: prefix("10.0.0.0/30")}, "communities": {Limits: Limits{Communities: 1}},
	} {
		r := newRig(t, cfg)
		c := testCommunity("c", "k")
		owner, squatter := r.edge(c, "owner", 1), r.edge(c, "squatter", 2)
		squatter.mac = owner.mac
		squatter.join()
		r.edge(c, "third", 3).join()
		owner.join()
		if r.s.registry.byHandle[squatter.ack.Handle] != nil || len(r.s.registry.byHandle) != 2 {
			t.Errorf("%s: the squatter is still registered", name)
		}
	}
}

// TestStrangersLearnNoCounts: whoever guesses a community's name learns at most that it
// is in use, and that not often; and its members learn nothing from a guess.
func TestStrangersLearnNoCounts(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	var members []*fakeEdge
	for i := range 7 {
		members = append(members, r.edge(testCommunity("net", "right"), fmt.Sprint("e", i), 10+i).join())
	}
	told := 0
	for i := range 40 {
		r.now = r.now.Add(time.Second)
		e := r.edge(testCommunity("net", fmt.Sprint("guess", i)), "stranger", 1).join()
		if e.ack.NameInUse > 1 {
			t.Fatalf("it learned of %d edges", e.ack.NameInUse)
		}
		told += int(e.ack.NameInUse)
		e.ask(&protocol.Unregister{})
	}
	if told > nameBurst+1 || told == 0 {
		t.Errorf("a stranger was told %d times", told)
	}
	r.edge(testCommunity("net", "squatter"), "stranger", 2).join()
	for i, e := range members {
		if ack, _ := e.register(e.request()); ack == nil || ack.NameInUse != 0 {
			t.Errorf("member %d was told of strangers: %+v", i, ack)
		}
		if i < len(members)-1 {
			e.ask(&protocol.Unregister{}) // the last one is alone
		}
	}
}

// TestManyUnderOneName: how many communities have one name costs nobody anything.
func TestManyUnderOneName(t *testing.T) {
	g := newRegistry(Limits{}.withDefaults(), netip.Prefix{}, noFront())
	var first *community
	for i := range 50_000 {
		c := g.community([16]byte{byte(i), byte(i >> 8), byte(i >> 16)}, [32]byte{1}, netip.Addr{})
		if first == nil {
			first = c
		}
	}
	if n := g.names[[32]byte{1}]; first.name != n || *n != (name{communities: 50_000}) {
		t.Errorf("they have %+v in common", n) // two counts, and nothing to go through
	}
	for _, c := range g.communities {
		g.prune(c)
	}
	if len(g.names) != 0 {
		t.Errorf("%d names left", len(g.names))
	}
}
