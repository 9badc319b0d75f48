package edge

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/deadline"
	"hedgerow/protocol"
)

// TestRegister follows a registration from the handshake to its renewal.
func TestRegister(t *testing.T) {
	v := newServer(t, nil)
	v.answer(noon)
	if v.s.init.active() || v.s.registered() || v.s.state() != control.StateConnecting {
		t.Errorf("state %v after the handshake", v.s.state())
	}
	heard := v.hears()
	if len(heard) != 1 || heard[0].typ != protocol.MsgRegister {
		t.Fatalf("it hears %v", types(heard))
	}
	m, err := protocol.ParseRegister(heard[0].value)
	if err != nil || m.MAC != v.self.mac || m.CID != v.self.cid || len(m.Statement) == 0 {
		t.Errorf("%+v %v", m, err)
	}
	// It is repeated after half a second, doubling.
	now := noon
	for i, wait := range []time.Duration{registerRetry, 2 * registerRetry, 4 * registerRetry} {
		v.pass(now.Add(wait - 1))
		if got := v.hears(); len(got) != 0 {
			t.Errorf("repeat %d is early: %v", i, types(got))
		}
		now = now.Add(wait)
		v.pass(now)
		if got := types(v.hears()); !slices.Contains(got, protocol.MsgRegister) {
			t.Errorf("repeat %d: %v", i, got)
		}
	}
	granted := ack(3)
	granted.Lease = netip.MustParsePrefix("10.64.0.7/24")
	v.say(now, granted.Append(nil))
	if !v.s.registered() || v.s.grant.others != 2 || !v.s.grant.renew.At().Equal(now.Add(time.Minute)) || v.s.grant.retry.IsSet() {
		t.Errorf("grant: others %d, renewed at %v", v.s.grant.others, v.s.grant.renew.At())
	}
	if got := types(v.hears()); !slices.Equal(got, []protocol.MsgType{protocol.MsgQuery}) {
		t.Errorf("asks %v", got)
	}
	for _, kind := range []control.EventKind{control.EventRegistered, control.EventReady, control.EventLease} {
		if n := len(v.told(kind)); n != 1 {
			t.Errorf("%v was told %d times", kind, n)
		}
	}
	if !slices.Contains(v.device.have, granted.Lease) || !v.s.view.Reachable() {
		t.Errorf("the device has %v", v.device.have)
	}
	st := v.status(now)
	if st.Supernodes[0].State != control.StateRegistered || st.Supernodes[0].Addr != atServer.String() || st.Supernodes[0].ID == "" || len(st.Prefixes) != 2 {
		t.Errorf("status %+v", st)
	}
	now = now.Add(time.Minute)
	v.pass(now)
	if got := types(v.hears()); !slices.Contains(got, protocol.MsgRegister) {
		t.Errorf("not renewed: %v", got)
	}
	v.servers.registrar.goodbye()
	if got := types(v.hears()); !slices.Equal(got, []protocol.MsgType{protocol.MsgUnregister}) {
		t.Errorf("says %v at the end", got)
	}
}

// A supernode is shown the token that it gave, and no other one is.
func TestRegisterShowsToken(t *testing.T) {
	for _, token := range [][]byte{nil, {1, 2, 3}} {
		v := newServer(t, func(c *Config) { c.Supernodes[0].Token = token })
		v.answer(noon)
		heard := v.hears()
		if len(heard) != 1 {
			t.Fatalf("it hears %v", types(heard))
		}
		if m, err := protocol.ParseRegister(heard[0].value); err != nil || !slices.Equal(m.Token, token) {
			t.Errorf("it shows %v, want %v: %v", m.Token, token, err)
		}
	}
}

// TestNaks holds what each refusal of a supernode leads to.
func TestNaks(t *testing.T) {
	wanted := Address{Mode: AddressStatic, Prefix: netip.MustParsePrefix("10.64.0.7/24")}
	for _, c := range []struct {
		name  string
		nak   protocol.Nak
		mode  Address
		kind  control.EventKind
		ends  bool
		again time.Duration
	}{
		{"the address is taken", protocol.Nak{Code: protocol.CodeIPTaken}, Address{}, control.EventAddressRefused, false, 5 * time.Second},
		{"the static address is taken", protocol.Nak{Code: protocol.CodeIPTaken, Prefix: wanted.Prefix}, wanted, control.EventAddressRefused, true, 5 * time.Second},
		{"the hardware address is taken", protocol.Nak{Code: protocol.CodeMACTaken, Retry: 30}, Address{}, control.EventMACTaken, false, 30 * time.Second},
		{"something else", protocol.Nak{Code: 200, Retry: 1}, Address{}, control.EventRefused, false, 5 * time.Second},
	} {
		v := newServer(t, func(cfg *Config) { cfg.Address = c.mode })
		v.answer(noon)
		for range 2 {
			v.say(noon, c.nak.Append(nil))
		}
		if n := len(v.told(c.kind)); n != 1 {
			t.Errorf("%s: told %d times", c.name, n)
		}
		if v.servers.addresses.taken != c.ends {
			t.Errorf("%s: Run ends: %v", c.name, v.servers.addresses.taken)
		}
		if at := v.s.grant.retry.At(); !at.Equal(noon.Add(c.again)) || v.s.state() != control.StateRefused {
			t.Errorf("%s: again at %v, %v", c.name, at, v.s.state())
		}
	}
}

// TestOddRegistrations tells the user once that nobody else is there, or under
// another key.
func TestOddRegistrations(t *testing.T) {
	v := newServer(t, nil)
	v.answer(noon)
	for range 2 {
		m := ack(1)
		v.say(noon, m.Append(nil))
		m.NameInUse = 1
		v.say(noon, m.Append(nil))
		v.s.reported.ready = false
		v.user.reports.registered(noon, v.s)
	}
	if a, w := v.told(control.EventAlone), v.told(control.EventWrongKey); len(a) != 1 || len(w) != 1 {
		t.Errorf("alone %v, wrong key %v", a, w)
	}
}

// TestNobodyDoubtsARightKey: whoever is not alone, or knows a member, has the right key,
// whatever a supernode or a stranger under the same name says.
func TestNobodyDoubtsARightKey(t *testing.T) {
	v := newServer(t, nil)
	v.answer(noon)
	m := ack(2) // in company
	m.NameInUse = 1
	v.say(noon, m.Append(nil))
	m = ack(1)
	m.NameInUse = 1
	v.say(noon, m.Append(nil))
	v.peers.byStatic[[32]byte{1}] = nil // a member is known
	v.user.reports.registered(noon, v.s)
	if w := v.told(control.EventWrongKey); len(w) != 0 {
		t.Errorf("wrong key %v", w)
	}
	delete(v.peers.byStatic, [32]byte{1})
}

// TestKeepalive pings the supernode: a pong keeps the registration, and four pings
// without one end it.
func TestKeepalive(t *testing.T) {
	v := registered(t, nil)
	now := v.s.keepalive.next.At()
	phase := v.underlay.Addresses.Policy().Phase
	if want := deadline.Shared(noon.Add(hopKeepalive/10), hopKeepalive, phase); now != want || now.Sub(noon) > hopKeepalive+2*time.Second {
		t.Errorf("the first ping after %v", now.Sub(noon))
	}
	v.pass(now)
	now = now.Add(30 * time.Millisecond)
	v.answerPing(now)
	if in := v.s.keepalive.next.At().Sub(v.s.keepalive.last); in != hopKeepalive {
		t.Errorf("the second ping %v later", in)
	}
	if !v.s.keepalive.sent.IsZero() || v.s.keepalive.rtt == 0 || v.s.keepalive.missed != 0 {
		t.Errorf("keepalive %+v", v.s.keepalive.pingOut)
	}
	// The supernode pings as well.
	ask := protocol.Ping{Nonce: [8]byte{9}, Pad: protocol.MinPingPad}
	v.say(now, ask.Append(nil))
	if got := types(v.hears()); !slices.Equal(got, []protocol.MsgType{protocol.MsgPong}) {
		t.Errorf("answers %v", got)
	}
	pings := 0
	for range 20 {
		if now = v.s.keepalive.next.At(); now.IsZero() {
			break
		}
		v.pass(now)
		for _, m := range types(v.hears()) {
			if m == protocol.MsgPing {
				pings++
			}
		}
	}
	if pings != hopPingsLost || v.s.registered() || len(v.told(control.EventSupernodeLost)) != 1 || v.s.state() != control.StateLost || !v.s.init.active() {
		t.Errorf("%d pings, %v", pings, v.s.state())
	}
}

// answerPing has the supernode answer the ping that it hears.
func (v *testServer) answerPing(now time.Time) {
	v.tb.Helper()
	heard := v.hears()
	i := slices.IndexFunc(heard, func(m heardMessage) bool { return m.typ == protocol.MsgPing })
	if i < 0 {
		v.tb.Fatalf("it hears %v", types(heard))
	}
	ping, err := protocol.ParsePing(heard[i].value)
	if err != nil {
		v.tb.Fatal(err)
	}
	pong := protocol.Pong{Nonce: ping.Nonce, Seen: elsewhere}
	v.say(now, pong.Append(nil))
}

// A supernode that relays for peers in use is watched closely, and pinged at once when it
// was not lately, and when our own network changes.
func TestWatch(t *testing.T) {
	v := registered(t, nil)
	v.peers.setHandle(v.introduced(3), 0, 3)
	p := v.met(2, "roof")
	p.view.SetUsed(1)
	if at := v.servers.registrar.keepaliveAt(noon, noon, v.s); at != noon.Add(hopWatch) {
		t.Errorf("pinged at %v", at)
	}
	v.handle(noon, dataplane.Needed{Peer: p.view})
	if at := v.s.keepalive.next.At(); !at.Equal(noon) {
		t.Errorf("pinged at %v for the first time", at)
	}
	v.pass(noon)
	v.answerPing(noon.Add(30 * time.Millisecond))
	v.handle(noon.Add(50*time.Millisecond), dataplane.Needed{Peer: p.view})
	if at := v.s.keepalive.next.At(); !at.Equal(noon.Add(hopWatch)) {
		t.Errorf("pinged at %v", at)
	}
	(*networkObserver)(v.Edge).NetworkChanged(noon)
	if at := v.s.keepalive.next.At(); !at.Equal(noon) {
		t.Errorf("pinged at %v after a change of the network", at)
	}
}

// TestDirectSet tells a supernode which peers need no copy of a flood, three times
// again, and doubts that as soon as one of them needs it.
func TestDirectSet(t *testing.T) {
	v := registered(t, nil)
	p := v.neighbour(2)
	if !slices.Equal(v.s.direct.handles, []uint32{2}) {
		t.Fatalf("the set is %v", v.s.direct.handles)
	}
	repeats := 0
	for at := v.s.direct.again.At(); !at.IsZero() && repeats < 10; at = v.s.direct.again.At() {
		v.servers.registrar.tick(at)
		repeats++
	}
	if repeats != directRepeats || v.s.direct.unsure {
		t.Errorf("repeated %d times", repeats)
	}
	v.peers.setHandle(p, 0, 9) // the supernode knows it by another handle
	v.settle(noon)
	if !slices.Equal(v.s.direct.handles, []uint32{9}) {
		t.Errorf("the set is %v", v.s.direct.handles)
	}
	v.servers.list.doubtDirect()
	if !v.s.direct.unsure {
		t.Error("the supernode is sure to know")
	}
	v.sessions.closed(p)
	v.settle(noon)
	v.consistent()
	if len(v.s.direct.handles) != 0 {
		t.Errorf("the set is %v without the peer", v.s.direct.handles)
	}
}

// fakeConnector notes what the registrar asks of it.
type fakeConnector struct{ gaveUp, restarted, resolved int }

func (c *fakeConnector) restart(time.Time, *supernode) { c.restarted++ }
func (c *fakeConnector) resolve(time.Time, *supernode) { c.resolved++ }
func (c *fakeConnector) giveUp(time.Time, *supernode)  { c.gaveUp++ }

// The registrar gives a supernode up once its session is broken, whoever makes the
// sessions.
func TestRegistrarGivesUp(t *testing.T) {
	v := registered(t, nil)
	c := new(fakeConnector)
	v.servers.registrar.connector = c
	v.s.hop.broken = true
	v.settle(noon)
	if c.gaveUp != 1 || v.s.registered() || v.s.hop.broken || v.s.keepalive.next.IsSet() {
		t.Errorf("%+v, registered %v", c, v.s.registered())
	}
	v.settle(noon)
	if c.gaveUp != 1 || len(v.told(control.EventSupernodeLost)) != 1 {
		t.Errorf("%+v at the second time", c)
	}
}

// An edge that is registered and then removed knows it at once, makes a new session and
// asks in that, as slowly as it is told to, until it is let in.
func TestRemovedByOperator(t *testing.T) {
	for _, code := range []uint8{protocol.CodeRemoved, protocol.CodeNotServed, protocol.CodeNotListed} {
		v := registered(t, nil)
		v.hears()
		m := protocol.Nak{Code: code, Retry: 60}
		v.say(noon, m.Append(nil))
		if v.s.registered() || v.s.state() != control.StateRefused || len(v.told(control.EventRefused)) != 1 {
			t.Fatalf("code %d: %v, told %v", code, v.s.state(), v.told(control.EventRefused))
		}
		v.answer(noon)
		if got := types(v.hears()); !slices.Contains(got, protocol.MsgRegister) {
			t.Fatalf("code %d: it asks %v", code, got)
		}
		v.say(noon, m.Append(nil))
		if at := v.s.grant.retry.At(); !at.Equal(noon.Add(time.Minute)) || len(v.told(control.EventRefused)) != 1 {
			t.Errorf("code %d: again at %v, told %v", code, at, v.told(control.EventRefused))
		}
		v.pass(noon.Add(time.Minute))
		if got := types(v.hears()); !slices.Contains(got, protocol.MsgRegister) {
			t.Errorf("code %d: a minute later it asks %v", code, got)
		}
		granted := ack(1)
		v.say(noon.Add(time.Minute), granted.Append(nil))
		if !v.s.registered() || len(v.status(noon.Add(time.Minute)).Notes) != 0 {
			t.Errorf("code %d: %v, notes %q", code, v.s.state(), v.status(noon.Add(time.Minute)).Notes)
		}
		v.say(noon.Add(time.Minute), m.Append(nil))
		if n := len(v.told(control.EventRefused)); n != 2 {
			t.Errorf("code %d: told %d times in all", code, n)
		}
	}
}
