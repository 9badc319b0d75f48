package sim

import (
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
)

// Exchange is what has passed between the edge of a crowd and one address.
type Exchange struct {
	PacketsIn, BytesIn   int // from the address
	PacketsOut, BytesOut int // to it
}

// Play has the scripts' goroutine do something, and returns when it is done.
func (c *Crowd) Play(f func()) {
	done := make(chan struct{})
	c.do(func() { f(); close(done) })
	<-done
}

// Observe shows somebody every frame that the edge delivers from now on, besides what
// becomes of it.
func (c *Crowd) Observe(f func(frame []byte)) { c.observer.Store(&f) }

// Hub returns the supernode. It is the scripts' goroutine's, as the members are.
func (c *Crowd) Hub() *CrowdHub { return c.hub }

// HubAddr returns the supernode's address.
func (c *Crowd) HubAddr() netip.AddrPort { return crowdHubAddr }

// EdgeAddr returns the edge's address.
func (c *Crowd) EdgeAddr() netip.AddrPort { return crowdEdgeAddr }

// Member returns one of the members.
func (c *Crowd) Member(i int) *CrowdMember { return c.members[i] }

// Community returns what the members know.
func (c *Crowd) Community() *crypto.Community { return c.world.Community }

// Identity returns who the edge is.
func (c *Crowd) Identity() *crypto.Identity { return c.identity }

// NewIdentity returns an identity of nobody's.
func (c *Crowd) NewIdentity() *crypto.Identity { return c.world.identity() }

// Inject puts a datagram on the wire, which seems to come from an address.
func (c *Crowd) Inject(from netip.AddrPort, pkt []byte) {
	x := c.traffic[from]
	x.PacketsIn, x.BytesIn = x.PacketsIn+1, x.BytesIn+len(pkt)
	c.traffic[from] = x
	c.socket.in.put(from, pkt)
}

// Traffic returns what has passed between the edge and an address.
func (c *Crowd) Traffic(with netip.AddrPort) Exchange { return c.traffic[with] }

// Inside hands the edge a frame of its own host.
func (c *Crowd) Inside(frame []byte) { c.device.Inject(frame) }

// Speak has a member send the edge a frame, which the edge answers.
func (c *Crowd) Speak(i int) { c.members[i].speak() }

// Answered returns how many frames of a member reached the edge, and how many of the
// edge's answers reached the member.
func (c *Crowd) Answered(i int) (there, back uint32) {
	return c.members[i].unicasts.Load(), c.members[i].answers.Load()
}

// AllTraffic returns what has passed between the edge and each address. It is the
// scripts' goroutine's.
func (c *Crowd) AllTraffic() map[netip.AddrPort]Exchange { return c.traffic }

// IsMember reports whether a member can be reached at an address.
func (c *Crowd) IsMember(a netip.AddrPort) bool { return c.at(a) != nil }

// Surroundings returns what an end needs of the crowd's world.
func (c *Crowd) Surroundings() adversary.Surroundings { return c.world.surroundings() }
