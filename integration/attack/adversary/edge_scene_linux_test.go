package adversary_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/integration/attack/adversary"
	"hedgerow/integration/sim"
)

// Who is who in the crowd of an edge scene.
const (
	hostileMember = iota
	honestMember  // by a direct path
	relayedMember // honest, by the supernode
	absentMember  // has never come
	crowdMembers
)

// edgeScene is a real edge with a scripted supernode and scripted members, one of them
// honest and in reach by a direct path.
type edgeScene struct {
	*verdicts
	dog    *watchdog
	crowd  *sim.Crowd
	know   *adversary.Knowledge
	began  time.Time
	owners map[string]string   // identities by hardware address, of honest members
	seen   map[netip.Addr]bool // where an honest supernode says that somebody is, or faults were told of
	loose  bool                // the supernode is hostile: what only it can give may be lost
}

// newEdgeScene has to be called in a bubble. change, if any, is for the edge.
func newEdgeScene(v *verdicts, dog *watchdog, change func(*sim.Crowd, *edge.Config)) *edgeScene {
	var tb testing.TB = v.t
	if v.quiet {
		tb = recorder{v.t, v}
	}
	s := &edgeScene{verdicts: v, dog: dog, crowd: sim.NewChangedCrowd(tb, crowdMembers, change), began: time.Now()}
	for i := range absentMember {
		m := s.crowd.Member(i)
		m.Direct = i != relayedMember
		s.crowd.Play(m.Meet)
		time.Sleep(500 * time.Millisecond)
	}
	for range 5 {
		for i := range absentMember {
			s.crowd.Play(func() { s.crowd.Speak(i) })
		}
		time.Sleep(time.Second)
	}
	s.know = knowledge(s.crowd)
	s.owners = make(map[string]string)
	for _, i := range []int{honestMember, relayedMember} {
		m := s.crowd.Member(i)
		s.owners[m.MAC.String()] = m.Identity().ShortID()
	}
	s.seen = make(map[netip.Addr]bool)
	return s
}

// knowledge is what a member of a crowd knows.
func knowledge(c *sim.Crowd) *adversary.Knowledge {
	honest, id := c.Member(honestMember), c.Identity()
	return &adversary.Knowledge{
		Community: c.Community(), Self: c.Member(hostileMember).Identity(), Supernode: c.HubAddr(),
		Stranger: netip.MustParseAddrPort("192.0.2.200:4000"),
		Honest: adversary.Somebody{
			Static: honest.Identity().Static, MAC: honest.MAC, Handle: honest.Handle(), Addr: honest.Addr(), Statement: honest.Statement,
		},
		Edge: adversary.Somebody{
			Static: id.Static, MAC: c.MAC, Handle: 1 << 30, Addr: c.EdgeAddr(),
			Statement: id.SignStatement(crypto.Statement{CID: c.Community().ID(), MAC: c.MAC, Seq: 1, Expiry: 1 << 40}),
		},
	}
}

// inject has the scripts do something, and everybody finish what comes of it. A
// datagram that takes longer than one may is sent again some times, since a machine
// may be busy with something else.
func (s *edgeScene) inject(name, what string, f func()) {
	s.dog.note(what)
	least := time.Hour
	for range tries {
		spent := took(func() {
			s.crowd.Play(f)
			synctest.Wait()
		})
		if least = min(least, spent); least <= limit(perMessage) {
			return
		}
	}
	s.fault(name, "%s takes %v of processor time", what, least)
}

// check asserts what holds whatever a member says.
func (s *edgeScene) check(name, after string) {
	var status control.Status
	var err error
	late := took(func() { status, err = s.crowd.Edge.Status(s.t.Context()) })
	if err != nil {
		s.fault(name, "no status after %s: %v", after, err)
		return
	}
	if late > limit(answerWithin) {
		s.fault(name, "the control loop answered after %v, after %s", late, after)
	}
	s.tables(name, after)
	s.checkAddresses(name, after, status)
	s.checkOwners(name, after)
	s.checkStrangers(name, after)
	if status.KeyIndex != s.crowd.Community().Epochs[0].Index {
		s.fault(name, "the edge seals under epoch %d after %s", status.KeyIndex, after)
	}
}

// tables asserts that what is published follows from the state, and that no table is
// over its bound.
func (s *edgeScene) tables(name, after string) {
	if err := s.crowd.Edge.Verify(s.t.Context()); err != nil {
		s.fault(name, "after %s: %v", after, err)
	}
	ceilings, err := s.crowd.Edge.Ceilings(s.t.Context())
	if err != nil {
		s.fault(name, "no ceilings after %s: %v", after, err)
	}
	for _, c := range ceilings {
		if c.Count > c.Max {
			s.fault(name, "%d %s after %s, at most %d", c.Count, c.Table, after, c.Max)
		}
	}
}

// checkOwners asserts that nobody else has the hardware address of an honest member,
// and that their paths are what they were.
func (s *edgeScene) checkOwners(name, after string) {
	peers, err := s.crowd.Edge.Peers(s.t.Context())
	if err != nil {
		s.fault(name, "no peers after %s: %v", after, err)
	}
	found := make(map[string]int)
	for _, p := range peers {
		owner, honest := s.owners[p.MAC]
		switch {
		case !honest:
			continue
		case p.ID != owner:
			s.fault(name, "%s is %s's and belongs to %s after %s", p.MAC, owner, p.ID, after)
			continue
		}
		found[p.MAC]++
		direct := p.MAC == s.crowd.Member(honestMember).MAC.String()
		if direct && (p.Path != control.PathDirect || p.Endpoint != s.crowd.Member(honestMember).Addr().String()) {
			s.fault(name, "the path to the honest member is %q %s after %s", p.Path, p.Endpoint, after)
		}
		if at := s.crowd.Member(relayedMember); !direct && !s.loose && p.Handle != at.Handle() {
			s.fault(name, "the honest member's handle is %08x after %s", p.Handle, after)
		}
	}
	for mac := range s.owners {
		direct := mac == s.crowd.Member(honestMember).MAC.String()
		if found[mac] != 1 && (direct || !s.loose) {
			s.fault(name, "%s has %d owners after %s", mac, found[mac], after)
		}
	}
}

// overlays are where an edge's addresses may be without a word of its user.
var overlays = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd00::/8"),
}

// checkAddresses asserts that the device's addresses are such as a user could have
// typed: private ones, with a network around them.
func (s *edgeScene) checkAddresses(name, after string, status control.Status) {
	for _, text := range status.Prefixes {
		p, err := netip.ParsePrefix(text)
		inside := false
		for _, o := range overlays {
			inside = inside || o.Contains(p.Addr()) && o.Bits() <= p.Bits()
		}
		if err != nil || !inside || p.Bits() == 0 {
			s.fault(name, "the device has %s after %s", text, after)
		}
	}
}

// checkStrangers asserts that what went to addresses of nobody is no more than came
// from there, and the few probes that a peer's word is worth.
func (s *edgeScene) checkStrangers(name, after string) {
	// A peer's word is worth a burst of probes, and one more each 30 s; a supernode's,
	// which has seen the peer, a burst each ten seconds.
	most := 40 + int(time.Since(s.began)/(30*time.Second))
	if s.loose {
		most = 60 + 30*int(time.Since(s.began)/(10*time.Second))
	}
	packets, never := make(map[netip.Addr]int), make(map[netip.AddrPort]int)
	s.crowd.Play(func() {
		for a, x := range s.crowd.AllTraffic() {
			if a == s.crowd.HubAddr() || s.crowd.IsMember(a) {
				continue
			}
			packets[a.Addr()] += x.PacketsOut - x.PacketsIn
			if ip := a.Addr(); x.PacketsOut > 0 && (ip.IsLoopback() || ip.IsMulticast() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || a.Port() == 0) {
				never[a] += x.PacketsOut
			}
		}
	})
	for a, n := range never {
		s.fault(name, "%d packets went to %v after %s", n, a, after)
	}
	for a, n := range packets {
		if n > most && !s.seen[a] {
			s.seen[a] = true
			s.fault(name, "%d packets more went to %v than came from there, after %s", n, a, after)
		}
	}
}

// alive asserts that the honest members' frames still pass, both ways.
func (s *edgeScene) alive(name, after string) {
	s.dog.note("frames after " + after)
	for _, i := range []int{honestMember, relayedMember} {
		if s.loose && i == relayedMember {
			continue
		}
		there, back := s.crowd.Answered(i)
		s.crowd.Play(func() { s.crowd.Speak(i) })
		time.Sleep(20 * time.Millisecond)
		if t, b := s.crowd.Answered(i); t == there || b == back {
			s.fault(name, "of member %d's frames %d arrived and %d were answered after %s, %v after the start", i, t-there, b-back, after, time.Since(s.began))
		}
	}
}

// end ends the edge, which has to be able to.
func (s *edgeScene) end() {
	s.dog.note("the end")
	s.crowd.End()
}

// inScene runs an attack on an edge in a bubble.
func (v *verdicts) inScene(attack func(s *edgeScene)) { v.inChangedScene(nil, attack) }

// inChangedScene is inScene with an edge whose configuration is changed.
func (v *verdicts) inChangedScene(change func(*sim.Crowd, *edge.Config), attack func(s *edgeScene)) {
	dog, outer := newWatchdog(v.t), v.t
	defer func() { v.t = outer }()
	synctest.Test(v.t, func(t *testing.T) {
		v.t = t
		s := newEdgeScene(v, dog, change)
		s.check("before", "the start")
		s.alive("before", "the start")
		attack(s)
		s.end()
	})
}

// again has a member whose session has ended make another one.
func (s *edgeScene) again(m *sim.CrowdMember) {
	peers, err := s.crowd.Edge.Peers(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range peers {
		if p.MAC == m.MAC.String() && p.Path != control.PathNone {
			return
		}
	}
	s.crowd.Play(m.MeetAgain)
	time.Sleep(200 * time.Millisecond)
}

// refresh has honest members whose sessions have ended make other ones, since minutes
// may have passed, and waits for as long as INITs that cross may take.
func (s *edgeScene) refresh() {
	const questions = 6
	for _, i := range []int{honestMember, relayedMember} {
		for range questions {
			there, back := s.crowd.Answered(i)
			s.crowd.Play(func() { s.crowd.Speak(i) })
			time.Sleep(20 * time.Millisecond)
			if t, b := s.crowd.Answered(i); t != there && b != back {
				break
			}
			s.crowd.Play(s.crowd.Member(i).MeetAgain)
			time.Sleep(5 * time.Second)
		}
	}
}
