package edge

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// twoServers returns an edge that is registered with two supernodes, and a peer in use that
// both know.
func twoServers(t *testing.T) (v *testServer, second *supernode, p *peer) {
	v = registered(t, func(c *Config) {
		c.Supernodes = append(c.Supernodes, Supernode{Name: "spare:7654", Host: "203.0.113.2", Port: 7654, Key: &[32]byte{8}})
	})
	second = v.servers.list[1]
	session, err := crypto.NewHopSession(crypto.SessionConfig{
		Keys: crypto.SplitKeys{Send: [32]byte{4, 1}, Recv: [32]byte{4, 2}}, XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: 17, Remote: 18, Created: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	second.init.initiator.Stop()
	second.init.retry.Stop()
	second.hop.session, second.hop.at = dataplane.NewHopSession(session, second.view, 0), second.addr()
	v.data.draft.SetHop(second.hop.session)
	second.grant.done, second.grant.on = true, second.hop.session
	second.keepalive.next.Set(noon.Add(hopKeepalive))
	second.publishHop()
	p = v.met(2, "roof")
	v.peers.setHandle(p, 1, 22)
	p.view.SetUsed(1)
	v.settle(noon)
	return v, second, p
}

// roles returns what status says of the supernodes.
func (v *testServer) roles() (list [2]control.SupernodeRole) {
	for i, s := range v.status(noon).Supernodes {
		list[i] = s.Role
	}
	return list
}

// A supernode whose answer is late is used together with the other one, which is pinged at
// once, until it answers.
func TestLateSupernode(t *testing.T) {
	v, second, p := twoServers(t)
	if to := p.view.Route(); to.Supernode != v.s.view || to.Spare != nil {
		t.Fatalf("the route is %+v", to)
	}
	if got := v.roles(); got != [2]control.SupernodeRole{control.RoleServing, control.RoleStandby} {
		t.Errorf("the supernodes are %v", got)
	}
	v.pass(noon) // the ping that the first use of the supernode asks for
	late := v.s.keepalive.next.At()
	if late.Sub(noon) < hopPingRetry || late.Sub(noon) > 2*hopPingRetry {
		t.Errorf("an answer is late after %v", late.Sub(noon))
	}
	v.pass(late.Add(-1))
	if to := p.view.Route(); to.Spare != nil {
		t.Error("it is late too early")
	}
	v.pass(late)
	if to := p.view.Route(); to.Supernode != v.s.view || to.Spare != second.view || to.SpareAs != 22 {
		t.Errorf("the route is %+v", to)
	}
	if second.keepalive.sent != late {
		t.Errorf("the other one was pinged at %v", second.keepalive.sent)
	}
	if got := v.roles(); got != [2]control.SupernodeRole{control.RoleLate, control.RoleStandby} {
		t.Errorf("the supernodes are %v", got)
	}
	v.consistent()
	v.answerPing(late.Add(10 * time.Millisecond))
	if to := p.view.Route(); to.Supernode != v.s.view || to.Spare != nil {
		t.Errorf("after its answer the route is %+v", to)
	}
	v.consistent()
}

// A supernode that is lost is not used again for a peer before it has told of the peer.
func TestLostSupernode(t *testing.T) {
	v, second, p := twoServers(t)
	v.pass(noon)
	for range hopPingsLost {
		v.pass(v.s.keepalive.next.At())
	}
	if to := p.view.Route(); v.s.registered() || to.Supernode != second.view || to.Handle != 22 || to.Spare != nil {
		t.Fatalf("registered %v, the route is %+v", v.s.registered(), to)
	}
	if got := v.roles(); got != [2]control.SupernodeRole{} {
		t.Errorf("the supernodes are %v", got)
	}
	v.consistent()
	now := noon.Add(5 * time.Second)
	v.answer(now)
	m := ack(2)
	v.say(now, m.Append(nil))
	if to := p.view.Route(); !v.s.registered() || to.Supernode != second.view {
		t.Errorf("registered %v, the route is %+v", v.s.registered(), to)
	}
	v.peers.setHandle(p, 0, 3)
	v.settle(now)
	if to := p.view.Route(); to.Supernode != v.s.view || to.Handle != 3 || to.Spare != nil {
		t.Errorf("the route is %+v", to)
	}
}

// A supernode at the address of the one that is late is the same one, and one that does not
// know the peer is asked for it.
func TestSpareFor(t *testing.T) {
	v, second, p := twoServers(t)
	v.s.keepalive.late = true
	if got := v.servers.list.spareFor(p, v.s); got != second {
		t.Errorf("the spare is %v", got)
	}
	at := second.hop.at
	second.hop.at = v.s.hop.at
	if got := v.servers.list.spareFor(p, v.s); got != nil {
		t.Errorf("the spare is %v", got)
	}
	second.hop.at = at
	v.s.keepalive.late = false
	v.peers.setHandle(p, 1, 0)
	v.conn.take()
	for _, want := range []int{1, 0} { // seekEvery is not over yet
		v.servers.directory.find(noon, p)
		v.data.send.Flush()
		if sent := v.sentTo(second.addr()); sent != want {
			t.Errorf("the other supernode was asked %d times, not %d", sent, want)
		}
	}
	v.servers.directory.find(noon.Add(seekEvery), p)
	v.data.send.Flush()
	if sent := v.sentTo(second.addr()); sent != 1 {
		t.Errorf("it was asked %d times", sent)
	}
}

// sentTo returns how many datagrams left for an address since the last look.
func (v *testServer) sentTo(a netip.AddrPort) (n int) {
	for _, d := range v.sentNow() {
		if d.to == a {
			n++
		}
	}
	return n
}

// The time for an answer follows RFC 6298.
func TestPingTimeout(t *testing.T) {
	var o pingOut
	if d := o.timeout(hopPingRetry); d != hopPingRetry {
		t.Errorf("%v before the first answer", d)
	}
	o.measure(300 * time.Millisecond)
	if d := o.timeout(hopPingRetry); d != 900*time.Millisecond {
		t.Errorf("%v after the first answer", d)
	}
	for range 40 {
		o.measure(300 * time.Millisecond)
	}
	if d := o.timeout(hopPingRetry); d != 337500*time.Microsecond {
		t.Errorf("%v where all answers take 300 ms", d)
	}
	o.measure(500 * time.Millisecond)
	if d := o.timeout(hopPingRetry); d < 500*time.Millisecond {
		t.Errorf("%v after an answer of 500 ms", d)
	}
}
