package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// events collects what an edge reports.
type events struct {
	mu   sync.Mutex
	list []control.Event
}

func (l *events) add(ev control.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, ev)
}

// of returns the events of a kind.
func (l *events) of(kind control.EventKind) (some []control.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range l.list {
		if ev.Kind == kind {
			some = append(some, ev)
		}
	}
	return some
}

// other returns a community of the same name with other keys, as a mistyped
// passphrase makes one.
func (w *World) other(name string) *crypto.Community {
	return &crypto.Community{
		Name: name, Secret: w.key(900), Epochs: []crypto.Epoch{{Index: 0, Key: w.key(901)}},
	}
}

// An edge with the wrong key hears nobody, is heard by nobody, and says why.
func TestWrongKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t, nattest.FullCone, nattest.FullCone)
		var stray Sink
		var told events
		time.Sleep(time.Second) // the others are there first
		wrong := c.Edge(c.Net.Host(netip.MustParseAddr("198.51.100.9")), Options{
			Name: "wrong", Supernodes: []*Supernode{c.sn}, Deliver: stray.Deliver, Report: told.add, Community: c.other(c.Community.Name),
		})
		time.Sleep(time.Second)
		all := c.Flow(c.left, protocol.Broadcast, &c.sinks[1])
		leak := c.Flow(wrong, protocol.Broadcast, &c.sinks[0], &c.sinks[1])
		to := c.Flow(wrong, c.left.MAC, &c.sinks[0])
		for range 100 {
			all.Send()
			leak.Send()
			to.Send()
			c.both(100*time.Millisecond, 50*time.Millisecond)
		}
		time.Sleep(time.Second)
		c.whole(t, 0)
		if got := len(leak.Lost(0, 100)) + len(to.Lost(0, 100)); got != 300 {
			t.Errorf("%d of 300 frames of a stranger were delivered", 300-got)
		}
		if stray.alien > 0 {
			t.Errorf("a stranger got %d frames", stray.alien)
		}
		if list := told.of(control.EventWrongKey); len(list) != 1 {
			t.Errorf("it was told of a wrong key %+v", list)
		}
		if len(told.of(control.EventAlone)) > 0 {
			t.Error("it was told that it is alone")
		}
		wrong.Stop()
		c.end()
	})
}

// A member that claims another's hardware address, in frames or at start, gets
// nothing that is meant for the other, and nobody believes it.
func TestClaimedMAC(t *testing.T) {
	for name, b := range map[string]nattest.Behavior{"direct": nattest.FullCone, "relayed": nattest.Symmetric} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " early ", early), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCouple(t, b, b)
					two := c.Supernode(netip.MustParseAddr("203.0.113.2"))
					var told events
					var stolen Sink
					router := c.Net.Router(netip.MustParseAddr("198.51.100.3"), b)
					if early {
						c.right.Kill()
					} else {
						time.Sleep(time.Second)
					}
					// One supernode knows the owner, the other one does not.
					thief := c.Edge(router.Host(netip.MustParseAddr("192.168.1.2")), Options{
						Name: "thief", Supernodes: []*Supernode{c.sn, two}, Deliver: stolen.Deliver, Report: told.add, Ethernet: edge.Ethernet{MAC: c.right.MAC},
					})
					var both Sink
					third := c.Edge(c.Net.Host(netip.MustParseAddr("198.51.100.4")), Options{
						Name: "third", Supernodes: []*Supernode{c.sn, two}, Deliver: both.Deliver,
					})
					time.Sleep(time.Second)
					if early {
						c.right.Start()
						time.Sleep(time.Second)
					}
					to := c.Flow(third, c.right.MAC, &c.sinks[1])
					forged := c.Flow(thief, c.left.MAC, &c.sinks[0])
					forgedAll := c.Flow(thief, protocol.Broadcast, &c.sinks[0], &c.sinks[1], &both)
					for range 200 {
						to.Send()
						forged.Send()
						forgedAll.Send()
						c.both(100*time.Millisecond, 50*time.Millisecond)
					}
					time.Sleep(time.Second)
					c.whole(t, 0)
					if lost := to.Lost(0, to.Len()); len(lost) > 0 {
						t.Errorf("lost %s", brief(lost))
					}
					if stolen.alien > 0 {
						t.Errorf("the thief got %d frames", stolen.alien)
					}
					for _, f := range []*Flow{forged, forgedAll} {
						if n := len(f.Lost(0, 200)); n != 200*len(f.got) {
							t.Errorf("%d forged frames were delivered", 200*len(f.got)-n)
						}
					}
					if list := told.of(control.EventMACTaken); len(list) == 0 {
						t.Error("the thief was not told that the address is taken")
					}
					for _, e := range []*Edge{thief, third} {
						e.Stop()
					}
					two.Stop()
					c.end()
				})
			})
		}
	}
}

// A member with an address of its own that sends frames as somebody else: they
// are dropped, by unicast and by broadcast, and frames for the other keep going
// there.
func TestForgedSource(t *testing.T) {
	for name, b := range map[string]nattest.Behavior{"direct": nattest.FullCone, "relayed": nattest.Symmetric} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t, b, b)
				var stolen Sink
				router := c.Net.Router(netip.MustParseAddr("198.51.100.3"), b)
				thief := c.Edge(router.Host(netip.MustParseAddr("192.168.1.2")), Options{
					Name: "thief", Supernodes: []*Supernode{c.sn}, Deliver: stolen.Deliver,
				})
				time.Sleep(time.Second)
				own := c.Flow(thief, c.left.MAC, &c.sinks[0])
				forged := c.Flow(thief, c.left.MAC, &c.sinks[0])
				forged.src = c.right.MAC
				forgedAll := c.Flow(thief, protocol.Broadcast, &c.sinks[0], &c.sinks[1])
				forgedAll.src = c.right.MAC
				for range 200 {
					own.Send()
					forged.Send()
					forgedAll.Send()
					c.both(100*time.Millisecond, 50*time.Millisecond)
				}
				time.Sleep(time.Second)
				c.whole(t, 0)
				if lost := own.Lost(0, own.Len()); len(lost) > 0 {
					t.Errorf("lost %s", brief(lost))
				}
				for _, f := range []*Flow{forged, forgedAll} {
					if n := len(f.Lost(0, 200)); n != 200*len(f.got) {
						t.Errorf("%d forged frames were delivered", 200*len(f.got)-n)
					}
				}
				if stolen.alien > 0 {
					t.Errorf("the thief got %d frames", stolen.alien)
				}
				thief.Stop()
				c.end()
			})
		})
	}
}

// A statement is worth nothing to who has not the key that it names, and so is
// one's own for another's hardware address.
func TestStolenStatement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t, nattest.FullCone, nattest.FullCone)
		time.Sleep(time.Second)
		x := c.Intruder(c.Net.Host(intruderAddr), c.sn)
		seq := uint64(time.Now().Add(time.Hour).UnixMilli())
		sign := func(id *crypto.Identity, static [32]byte, mac protocol.MAC) []byte {
			return id.SignStatement(crypto.Statement{
				ID: [32]byte(id.ID), Static: static, CID: c.Community.ID(), MAC: [6]byte(mac), Seq: seq, Expiry: seq,
			})
		}
		victim := c.right.identity
		for name, claim := range map[string]struct {
			m    *protocol.Register
			want uint8
		}{
			"stolen":           {x.Claim(c.right.MAC, sign(victim, victim.Static, c.right.MAC), netip.Prefix{}), protocol.CodeProof},
			"another's MAC":    {x.Claim(c.right.MAC, sign(x.Identity, x.Identity.Static, c.right.MAC), netip.Prefix{}), protocol.CodeMACTaken},
			"one MAC, another": {x.Claim(c.right.MAC, sign(x.Identity, x.Identity.Static, protocol.MAC{2, 1}), netip.Prefix{}), protocol.CodeProof},
		} {
			time.Sleep(time.Second)
			if code := x.Register(claim.m); code != claim.want {
				t.Errorf("%s: code %d, want %d", name, code, claim.want)
			}
		}
		time.Sleep(time.Second)
		if code := x.Register(x.Claim(protocol.MAC{2, 1}, sign(x.Identity, x.Identity.Static, protocol.MAC{2, 1}), netip.Prefix{})); code != 0 {
			t.Errorf("a true registration got code %d", code)
		}
		if st := c.sn.Server.Status(); st.Leases != 3 {
			t.Errorf("%d leases, want 3", st.Leases)
		}
		c.both(5*time.Second, 50*time.Millisecond)
		time.Sleep(time.Second)
		c.whole(t, 0)
		x.conn.Close()
		c.end()
	})
}

// An address that another edge holds is not given away: an edge that insists on
// it ends, one that would like it gets another.
func TestClaimedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 33)
		defer w.Close()
		sn := w.Supernode(supernodeAddr)
		held := netip.MustParsePrefix("10.1.2.3/24")
		host := func(n byte) *nattest.Host { return w.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, n})) }
		elsewhere := host(2)
		owner := w.Edge(host(1), Options{Name: "owner", Supernodes: []*Supernode{sn}, Address: edge.Address{Mode: edge.AddressStatic, Prefix: held}})
		time.Sleep(time.Second)
		for _, away := range []bool{false, true} {
			if away {
				owner.Stop()
			}
			var told events
			thief := w.Edge(elsewhere, Options{Name: "thief", Supernodes: []*Supernode{sn}, Report: told.add, Address: edge.Address{Mode: edge.AddressStatic, Prefix: held}})
			time.Sleep(5 * time.Second)
			select {
			case <-thief.done:
				if err := thief.stop(); !errors.Is(err, edge.ErrAddressTaken) {
					t.Errorf("Run returned %v", err)
				}
			default:
				t.Error("Run goes on without its address")
				thief.Stop()
			}
			if list := told.of(control.EventAddressRefused); len(list) != 1 || list[0].Wanted != held || list[0].MAC != owner.MAC {
				t.Errorf("it was told %+v", list)
			}
		}
		owner.Start()
		var told events
		polite := w.Edge(host(3), Options{Name: "polite", Supernodes: []*Supernode{sn}, Report: told.add, Address: edge.Address{Mode: edge.AddressPrefer, Prefix: held}})
		time.Sleep(time.Second)
		list := told.of(control.EventAddressReplaced)
		if len(list) != 1 || list[0].Wanted != held || list[0].MAC != owner.MAC || list[0].Prefix.Addr() == held.Addr() || list[0].Prefix.Masked() != held.Masked() {
			t.Errorf("it was told %+v", list)
		}
		if got := fmt.Sprint(owner.Device.Addresses()); len(owner.Device.Addresses()) == 0 || owner.Device.Addresses()[len(owner.Device.Addresses())-1] != held && owner.Device.Addresses()[0] != held {
			t.Errorf("the owner has %s", got)
		}
		owner.Stop()
		polite.Stop()
		sn.Stop()
	})
}
