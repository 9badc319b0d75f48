package adversary_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/attack/adversary"
	"hedgerow/integration/sim"
	"hedgerow/nat/nattest"
	"hedgerow/supernode/admin"
)

// onTheWay is longer than a datagram takes through the simulated internet.
const onTheWay = 50 * time.Millisecond

// supernodeScene is a real supernode with two honest edges that reach each other
// through it, and a hostile one that is a script.
type supernodeScene struct {
	*verdicts
	dog         *watchdog
	world       *sim.World
	sn          *sim.Supernode
	left, right *sim.Edge
	flow        *sim.Flow
	sink        *sim.Sink
	sent        int
	hostile     *sim.Intruder
	know        *adversary.Knowledge
	faults      *sim.Faults
	leases      [2]string
}

// newSupernodeScene has to be called in a bubble.
func newSupernodeScene(v *verdicts, dog *watchdog) *supernodeScene {
	var tb testing.TB = v.t
	if v.quiet {
		tb = recorder{v.t, v}
	}
	s := &supernodeScene{verdicts: v, dog: dog, world: sim.New(tb, 77), sink: new(sim.Sink), faults: new(sim.Faults)}
	s.sn = s.world.Supernode(netip.MustParseAddr("203.0.113.1"))
	s.world.Net.Tap(sim.NewWire(s.faults, s.world.Community, s.sn).Tap)
	for i, e := range []**sim.Edge{&s.left, &s.right} {
		r := s.world.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), nattest.Symmetric)
		o := sim.Options{Name: []string{"left", "right"}[i], Supernodes: []*sim.Supernode{s.sn}}
		if i == 1 {
			o.Deliver = s.sink.Deliver
		}
		*e = s.world.Edge(r.Host(netip.MustParseAddr("192.168.1.2")), o)
	}
	time.Sleep(2 * time.Second)
	s.flow = s.world.Flow(s.left, s.right.MAC, s.sink)
	for range 20 {
		s.flow.Send()
		time.Sleep(100 * time.Millisecond)
	}
	s.sent = s.flow.Len()
	s.hostile = s.world.Intruder(s.world.Net.Host(netip.MustParseAddr("192.0.2.66")), s.sn)
	s.know = s.knowledge()
	for i, e := range []*sim.Edge{s.left, s.right} {
		s.leases[i] = s.status(e).Prefixes[0]
	}
	return s
}

func (s *supernodeScene) knowledge() *adversary.Knowledge {
	cid := s.world.Community.ID()
	of := func(e *sim.Edge) adversary.Somebody {
		id := e.Identity()
		return adversary.Somebody{
			Static: id.Static, MAC: e.MAC, Statement: id.SignStatement(crypto.Statement{CID: cid, MAC: e.MAC, Seq: 1, Expiry: 1 << 40}),
			Addr: netip.MustParseAddrPort("198.51.100.1:4000"),
		}
	}
	k := &adversary.Knowledge{
		Community: s.world.Community, Self: s.hostile.Identity, Edge: of(s.left), Honest: of(s.right), Supernode: s.sn.Addr,
		Stranger: netip.MustParseAddrPort("192.0.2.200:4000"),
	}
	peers, err := s.left.Edge.Peers(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range peers {
		k.Honest.Handle = p.Handle
	}
	return k
}

func (s *supernodeScene) status(e *sim.Edge) control.Status {
	st, err := e.Edge.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// inject has the hostile edge do something, and everybody finish what comes of it.
func (s *supernodeScene) inject(name, what string, f func()) {
	s.dog.note(what)
	least := time.Hour
	for range tries {
		spent := took(func() {
			f()
			time.Sleep(onTheWay)
			synctest.Wait()
		})
		for s.hostile.Poll() != nil { // nobody reads it
		}
		if least = min(least, spent); least <= limit(perMessage) {
			return
		}
	}
	s.fault(name, "%s takes %v of processor time", what, least)
}

// say has the hostile edge say messages in its session, in one datagram.
func (s *supernodeScene) say(messages ...adversary.Message) { s.write(s.hostile.Say(messages...)) }

// write sends a packet that the network carries.
func (s *supernodeScene) write(pkt []byte, err error) {
	const most = 1472
	if len(pkt) <= most && (err == nil || !s.quiet) {
		s.hostile.Write(pkt, err)
	}
}

// check asserts what holds whatever an edge says.
func (s *supernodeScene) check(name, after string) {
	if err := s.sn.Server.Verify(); err != nil {
		s.fault(name, "after %s: %v", after, err)
	}
	var st admin.Status
	if late := took(func() { st = s.sn.Server.Status() }); late > limit(answerWithin) {
		s.fault(name, "the supernode answered after %v, after %s", late, after)
	}
	if st.Edges < 2 || st.Edges > 3 || len(st.Communities) != 1 {
		s.fault(name, "%d edges of %d communities are online after %s", st.Edges, len(st.Communities), after)
	}
	for i, e := range []*sim.Edge{s.left, s.right} {
		edge := s.status(e)
		if edge.Supernodes[0].State != control.StateRegistered || len(edge.Prefixes) == 0 || edge.Prefixes[0] != s.leases[i] {
			s.fault(name, "%s is %s with %v after %s", e.MAC, edge.Supernodes[0].State, edge.Prefixes, after)
		}
	}
	for _, fault := range s.faults.Take() {
		if isOfStranger(fault) {
			s.fault(name, "%s, after %s", fault, after)
		}
	}
}

// isOfStranger reports whether a fault of the wire is about strangers: the hostile edge
// may number its packets as it likes.
func isOfStranger(fault string) bool { return strings.Contains(fault, "stranger") }

// alive asserts that the honest edges' frames still pass.
func (s *supernodeScene) alive(name, after string) {
	s.dog.note("frames after " + after)
	n := s.flow.Len()
	s.flow.Send()
	time.Sleep(50 * time.Millisecond)
	if lost := s.flow.Lost(n, n+1); len(lost) > 0 {
		s.fault(name, "a frame was lost after %s", after)
	}
}

// meet has the hostile edge make another session.
func (s *supernodeScene) meet() {
	pkt, err := s.hostile.Initiate()
	s.hostile.Write(pkt, err)
	const tries = 40
	began := false
	for i := 0; i < tries && !began; i++ {
		time.Sleep(onTheWay)
		for pkt := s.hostile.Poll(); pkt != nil; pkt = s.hostile.Poll() {
			got, err := s.hostile.Handle(pkt)
			if err != nil {
				s.fault("script", "a RESP does not open: %v", err)
			}
			if began = began || got.Began; got.Reply != nil {
				s.hostile.Write(got.Reply, nil)
			}
		}
	}
	if !began {
		s.fault("script", "the supernode answers no INIT")
	}
}

// again has the hostile edge make another session, and register.
func (s *supernodeScene) again() {
	time.Sleep(6 * time.Second) // or it is asked to wait
	s.meet()
	s.say(s.hostile.Guest.Register(s.world.Community).Append)
	time.Sleep(onTheWay)
}

// end ends everything.
func (s *supernodeScene) end() {
	s.dog.note("the end")
	s.left.Stop()
	s.right.Stop()
	s.sn.Stop()
	s.world.Net.Close()
}

// inSupernodeScene runs an attack on a supernode in a bubble.
func (v *verdicts) inSupernodeScene(attack func(s *supernodeScene)) {
	dog, outer := newWatchdog(v.t), v.t
	defer func() { v.t = outer }()
	synctest.Test(v.t, func(t *testing.T) {
		v.t = t
		s := newSupernodeScene(v, dog)
		s.check("before", "the start")
		s.alive("before", "the start")
		attack(s)
		s.end()
	})
}
