package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// fallBacks are what an edge goes on by where the network allows nothing better, and what
// it uses again afterwards.
var fallBacks = []struct {
	name   string
	begin  func(b *fallen)      // what is better ends
	lasts  time.Duration        // so long
	fallen func(b *fallen) bool // the edge uses what is worse
	end    func(b *fallen)      // the network allows what is better again
	better func(b *fallen) bool // the edge uses it
	within time.Duration
}{
	{
		"a supernode instead of a direct path", func(b *fallen) { b.cut() }, 12 * time.Minute,
		func(b *fallen) bool { return b.path() == control.PathRelay }, (*fallen).heal,
		func(b *fallen) bool { return b.path() == control.PathDirect }, 10 * time.Second,
	},
	{
		"a stream instead of UDP", func(b *fallen) { b.left.host.BlockUDP(true) }, 12 * time.Minute,
		(*fallen).byStream, func(b *fallen) { b.left.host.BlockUDP(false) }, (*fallen).byData, 30 * time.Second,
	},
	{
		"nothing instead of UDP", func(b *fallen) { b.left.host.BlockUDP(true); b.streams.Hang(true) }, 12 * time.Minute,
		func(b *fallen) bool { return b.state() != control.StateRegistered },
		func(b *fallen) { b.left.host.BlockUDP(false) }, (*fallen).byUDP, 10 * time.Second,
	},
	{
		"a stream instead of another local port", (*fallen).dropPort, 5 * time.Second,
		(*fallen).byStream, func(*fallen) {}, (*fallen).byOtherPort, 20 * time.Second,
	},
	{
		"nothing instead of another local port", func(b *fallen) { b.streams.Hang(true); b.dropPort() }, 6 * time.Second,
		func(b *fallen) bool { return b.state() != control.StateRegistered }, func(*fallen) {}, (*fallen).byOtherPort, 20 * time.Second,
	},
	{
		"a stream where nothing of UDP passed for long, instead of another local port", func(b *fallen) { b.left.host.BlockUDP(true) }, 12 * time.Minute,
		(*fallen).byStream, func(b *fallen) { b.dropPort(); b.left.host.BlockUDP(false) }, (*fallen).byOtherPort, 6 * time.Minute,
	},
	{
		"another local port instead of the edge's own", (*fallen).dropPort, 10 * time.Minute,
		(*fallen).byOtherPort, (*fallen).heal, (*fallen).byData, 30 * time.Second,
	},
	{
		"another supernode", func(b *fallen) { b.cut(); b.sn.Stop() }, 12 * time.Minute,
		func(b *fallen) bool { return b.way().Via == b.second.Addr.String() }, func(b *fallen) { b.sn.Start() },
		func(b *fallen) bool { return b.way().Via == b.sn.Addr.String() }, 15 * time.Second,
	},
}

// fallen is a pair with two supernodes, of which one end may use streams.
type fallen struct {
	*couple
	t       *testing.T
	second  *Supernode
	streams StreamPath
}

func newFallen(t *testing.T) *fallen {
	b := &fallen{couple: &couple{World: New(t, 41)}, t: t}
	b.sn = b.SupernodeWith(Beside{Streams: true}, supernodeAddr)
	b.second = b.Supernode(netip.MustParseAddr("203.0.113.2"))
	for i, e := range []**Edge{&b.left, &b.right} {
		b.routers[i] = b.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), nattest.PortRestricted)
		o := Options{Supernodes: []*Supernode{b.sn, b.second}, Deliver: b.sinks[i].Deliver, Address: none}
		if i == 0 {
			o.Around.Streams = &b.streams
		}
		*e = b.Edge(b.routers[i].Host(netip.MustParseAddr("192.168.1.2")), o)
	}
	b.there, b.back = b.Flow(b.left, b.right.MAC, &b.sinks[1]), b.Flow(b.right, b.left.MAC, &b.sinks[0])
	return b
}

// dropPort has the internet drop what comes from the left edge's own port, or goes there.
func (b *fallen) dropPort() {
	own := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), b.left.conn.LocalAddr().Port())
	b.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool { return from == own || to == own })
}

// cut leaves nothing but the paths to the supernodes.
func (b *fallen) cut() {
	b.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool {
		server := func(a netip.AddrPort) bool { return a == b.sn.Addr || a == b.second.Addr }
		return !server(from) && !server(to)
	})
}

func (b *fallen) heal() { b.Net.SetDrop(nil) }

func (b *fallen) way() control.PathStatus { return wayTo(b.t, b.left, b.right) }

func (b *fallen) path() control.Path { return b.way().Path }

// first returns how the left edge sees its first supernode.
func (b *fallen) first() control.SupernodeStatus { return b.left.status().Supernodes[0] }

func (b *fallen) state() control.SupernodeState { return b.first().State }

func (b *fallen) byStream() bool {
	s := b.first()
	return s.State == control.StateRegistered && s.Stream != ""
}

// byUDP reports whether UDP serves, byOtherPort and byData by which local port it does:
// another one, which may be the first to be tried, or the edge's own.
func (b *fallen) byUDP() bool {
	s := b.first()
	return s.State == control.StateRegistered && s.Stream == ""
}

func (b *fallen) byOtherPort() bool { return b.byUDP() && b.left.says("answers another UDP port") }
func (b *fallen) byData() bool      { return b.byUDP() && !b.left.says("answers another UDP port") }

// Whatever an edge falls back to, it does not stay there: it uses what is better again
// within the time that docs/NAT.md states, and frames go on meanwhile.
func TestFallBacksEnd(t *testing.T) {
	for _, x := range fallBacks {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFallen(t)
				defer b.second.Stop()
				defer b.end()
				time.Sleep(time.Second)
				b.both(10*time.Second, 100*time.Millisecond)
				x.begin(b)
				b.both(x.lasts, min(x.lasts/10, 2*time.Second))
				if !x.fallen(b) {
					t.Fatalf("the edge goes by %+v, and its supernode is %+v: %q", b.way(), b.first(), b.left.status().Notes)
				}
				x.end(b)
				healed := time.Now()
				for !x.better(b) && time.Since(healed) < 2*x.within {
					b.both(250*time.Millisecond, 250*time.Millisecond)
				}
				took := time.Since(healed)
				t.Logf("used again after %v", took)
				if took > x.within {
					t.Errorf("used again after %v, not %v", took, x.within)
				}
				n := b.there.Len()
				b.both(5*time.Second, 100*time.Millisecond)
				time.Sleep(time.Second)
				b.couple.whole(t, n+10)
			})
		})
	}
}
