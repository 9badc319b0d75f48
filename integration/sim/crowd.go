package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/waiter"
	"hedgerow/protocol"
	"hedgerow/tap/taptest"
	"hedgerow/transport"
)

// Where a crowd has its edge and its supernode.
var (
	crowdEdgeAddr = netip.MustParseAddrPort("198.51.100.1:5000")
	crowdHubAddr  = netip.MustParseAddrPort("203.0.113.1:7654")
)

// Crowd is one edge among thousands of members that are scripts: they and their
// supernode speak the protocol, and do no more than the edge has to see. One
// goroutine plays them all, so that what they cost can be told from what the edge
// costs.
type Crowd struct {
	world    *World
	identity *crypto.Identity
	socket   *crowdSocket
	hub      *CrowdHub
	members  []*CrowdMember
	traffic  map[netip.AddrPort]Exchange // with addresses that the edge got or sent something; the playing goroutine's
	process  process
	playing  sync.WaitGroup
	script   chan func()
	meter    func() time.Duration // of this thread, or nil
	spent    time.Duration        // by the scripts; the playing goroutine's

	Edge     *edge.Edge
	MAC      protocol.MAC
	device   *taptest.Device
	observer atomic.Pointer[func(frame []byte)] // is shown what the edge delivers; nil: nobody is
}

// CrowdPlan says what becomes of the members.
type CrowdPlan struct {
	Members int
	Every   time.Duration // between two arrivals
	Talk    int           // each so many-th member exchanges frames with the edge; 0: none
	Direct  int           // each so many-th of those can be reached directly; 0: none
	For     time.Duration // they exchange a frame a second for so long
}

// NewCrowd returns an edge that is registered, with members that have not come
// yet. meter returns the processor time of its thread so far; nil measures
// nothing. The edge ends with End.
func NewCrowd(tb testing.TB, most int, meter func() time.Duration) *Crowd {
	return newCrowd(tb, most, meter, false, nil)
}

// NextEpoch is when the second epoch of an equipped crowd starts: so late that the
// members, which stay with the first, are not there any more, and within the skew of
// clocks from the beginning.
const NextEpoch = 59 * time.Minute

// NewEquippedCrowd returns a crowd whose edge has further sockets, side addresses
// and TURN, as a real one does, and a second epoch.
func NewEquippedCrowd(tb testing.TB, most int) *Crowd { return newCrowd(tb, most, nil, true, nil) }

// NewChangedCrowd is NewEquippedCrowd with an edge whose configuration is changed before it
// starts; the community is the members' as well.
func NewChangedCrowd(tb testing.TB, most int, change func(c *Crowd, cfg *edge.Config)) *Crowd {
	return newCrowd(tb, most, nil, true, change)
}

func newCrowd(tb testing.TB, most int, meter func() time.Duration, equipped bool, change func(*Crowd, *edge.Config)) *Crowd {
	w := &World{tb: tb, seed: 91}
	c := &Crowd{
		world: w, identity: w.identity(), script: make(chan func(), 1024), meter: meter, traffic: make(map[netip.AddrPort]Exchange),
	}
	w.Community = &crypto.Community{Name: "crowd", Secret: w.key(0), Epochs: []crypto.Epoch{{Index: 0, Key: w.key(1)}}}
	if equipped { // somebody may have the first key and not the next one
		next := crypto.Epoch{Index: 1, Key: w.key(2), From: time.Now().Add(NextEpoch)}
		w.Community.Epochs = append(w.Community.Epochs, next)
	}
	c.hub = newCrowdHub(c, w.identity())
	for i := range most {
		c.members = append(c.members, newCrowdMember(c, i))
	}
	c.socket = newCrowdSocket()
	c.device = taptest.New(taptest.Options{Deliver: c.deliver})
	c.MAC = c.identity.MAC(w.Community.ID())
	c.startEdge(equipped, change)
	return c
}

// startEdge starts the edge and the scripts.
func (c *Crowd) startEdge(equipped bool, change func(*Crowd, *edge.Config)) {
	key := c.hub.Identity.Static
	queue, further := c.queue(equipped)
	cfg := edge.Config{
		Community: c.world.Community, Identity: c.identity, Name: "edge", Device: c.device,
		Supernodes: []edge.Supernode{{Name: "hub", Host: crowdHubAddr.Addr().String(), Port: crowdHubAddr.Port(), Key: &key}},
		Queues:     []dataplane.Queue{queue}, Transports: further,
		Host: edge.Host{
			Interface: "crowd0", Log: c.world.log("edge"), Rand: c.world.random(),
			Addresses: func() ([]netip.Addr, error) { return []netip.Addr{crowdEdgeAddr.Addr()}, nil },
		},
	}
	if change != nil {
		change(c, &cfg)
	}
	e, err := edge.New(cfg)
	if err != nil {
		c.world.tb.Fatal(err)
	}
	c.Edge = e
	ctx, stop := context.WithCancel(context.Background())
	c.playing.Go(func() { c.play(ctx) })
	c.process = c.world.start(func(ctx context.Context) error {
		defer stop()
		return e.Run(ctx)
	})
	time.Sleep(time.Second)
	if !c.hub.registered.Load() {
		c.world.tb.Fatal("the edge has not registered")
	}
}

// queue returns what the edge sends by.
func (c *Crowd) queue(equipped bool) (q dataplane.Queue, further underlay.Transports) {
	q = dataplane.Queue{Frames: c.device, Conn: c.socket, Waiter: waiter.NewChannels(c.device.Ready(), c.socket.in.ready)}
	if !equipped {
		return q, further
	}
	sides := transport.NewSides()
	mux, err := sides.Reader(c.socket, false)
	if err != nil {
		c.world.tb.Fatal(err)
	}
	q.Conn, q.Waiter = mux, waiter.NewChannels(c.device.Ready(), c.socket.in.ready, mux.SideReady())
	return q, underlay.Transports{Sides: sides, Open: c.socket.open, TURN: newTURNClient}
}

// End ends the edge and the scripts.
func (c *Crowd) End() {
	if err := c.process.stop(); err != nil {
		c.world.tb.Error(err)
	}
	c.playing.Wait()
}

// play is the goroutine of the scripts.
func (c *Crowd) play(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-c.script:
			c.measured(f)
		case <-c.socket.out.ready:
			c.measured(c.answer)
		}
	}
}

// measured does something and notes what it costs.
func (c *Crowd) measured(f func()) {
	if c.meter == nil {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun := c.meter()
	f()
	c.spent += c.meter() - begun
}

// Spent returns the processor time that the scripts have taken so far.
func (c *Crowd) Spent() time.Duration {
	spent := make(chan time.Duration)
	c.do(func() { spent <- c.spent })
	return <-spent
}

// answer has the supernode and the members answer what the edge has sent.
func (c *Crowd) answer() {
	for {
		to, pkt, ok := c.socket.out.take()
		if !ok {
			return
		}
		x := c.traffic[to]
		x.PacketsOut, x.BytesOut = x.PacketsOut+1, x.BytesOut+len(pkt)
		c.traffic[to] = x
		if to == crowdHubAddr {
			c.hub.handle(pkt)
		} else if m := c.at(to); m != nil {
			m.handle(pkt, true)
		}
		c.socket.out.free(pkt)
	}
}

// at returns the member that can be reached at an address.
func (c *Crowd) at(a netip.AddrPort) *CrowdMember {
	if !a.Addr().Is4() {
		return nil
	}
	b := a.Addr().As4()
	if i := int(binary.BigEndian.Uint16(b[2:])); b[0] == 11 && b[1] == 1 && i < len(c.members) && c.members[i].Direct {
		return c.members[i]
	}
	return nil
}

// do has the scripts' goroutine do something.
func (c *Crowd) do(f func()) { c.script <- f }

// after does it later.
func (c *Crowd) after(d time.Duration, f func()) { time.AfterFunc(d, func() { c.do(f) }) }

// Arrive lets members come as a plan says, and returns when the last one has
// come and all have talked.
func (c *Crowd) Arrive(p CrowdPlan) {
	for i, m := range c.members[:p.Members] {
		talks := p.Talk > 0 && i%p.Talk == 0
		c.do(func() {
			m.Direct = talks && p.Direct > 0 && i/p.Talk%p.Direct == 0
			m.arrive()
			if talks {
				c.after(100*time.Millisecond, m.initiate)
				for n := range int(p.For / time.Second) {
					c.after(time.Duration(n+1)*time.Second, m.speak)
				}
			}
		})
		time.Sleep(p.Every)
	}
	time.Sleep(p.For + 3*time.Second)
}

// Broadcast has members flood one more frame each, and forgets those before.
func (c *Crowd) Broadcast(n int) {
	for _, m := range c.members[:n] {
		m.broadcasts.Store(0)
		c.do(m.broadcast)
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Second)
}

// deliver counts what the edge writes to its device, and answers what is for it.
func (c *Crowd) deliver(frame []byte) {
	if observe := c.observer.Load(); observe != nil {
		(*observe)(frame)
	}
	f := protocol.Frame(frame)
	if f.EtherType() != EtherType || len(frame) < 18 {
		return
	}
	i := binary.BigEndian.Uint32(frame[14:])
	if int(i) >= len(c.members) {
		return // of a member that says anything
	}
	if f.Dst().IsGroup() {
		c.members[i].broadcasts.Add(1)
		return
	}
	c.members[i].unicasts.Add(1)
	c.device.Inject(Frame(f.Src(), c.MAC, frame[14:18]))
}

// crowdName is what a member calls itself.
func crowdName(number int) string { return fmt.Sprintf("member %04d", number) }
