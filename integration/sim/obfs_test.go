package sim

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/render"
	"hedgerow/nat/address"
	"hedgerow/nat/nattest"
	"hedgerow/nat/stun"
)

var obfsKey = []byte("what only this community's edges have")

// With an obfuscation key all is as without: an edge learns the supernode's key from it, both
// find out how their NATs give out ports, which needs the second port of the supernode and
// further sockets, and meet by that. No datagram on the way is STUN.
func TestObfsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 65)
		defer w.Close()
		plain := 0
		w.Net.Tap(func(_, _ netip.AddrPort, b []byte) {
			if stun.IsMessage(b) {
				plain++
			}
		})
		sn := w.SupernodeWith(Beside{ObfsKey: obfsKey}, supernodeAddr)
		var sinks [2]Sink
		o := Options{Supernodes: []*Supernode{sn}, Around: Around{NoPin: true}}
		left := w.Edge(behind(sequence)(w.Net, 0), with(o, "left", &sinks[0]))
		o.Around.NoPin = false
		right := w.Edge(behind(sequence)(w.Net, 1), with(o, "right", &sinks[1]))
		time.Sleep(time.Second)
		flow := w.Flow(left, right.MAC, &sinks[1])
		flow.For(8*time.Second, 100*time.Millisecond)
		if lost := flow.Lost(0, flow.Len()); len(lost) > 0 {
			t.Errorf("lost %s", brief(lost))
		}
		if path := pathTo(t, left, right); path != control.PathDirect {
			t.Errorf("the path is %s", path)
		}
		time.Sleep(30 * time.Second)
		if got, want := left.status(), address.MappingAddressAndPortDependent.String(); got.Mapping != want || !got.Supernodes[0].Obfuscated {
			t.Errorf("mapping %q, want %q; %+v", got.Mapping, want, got.Supernodes)
		}
		if plain > 0 {
			t.Errorf("%d datagrams are STUN", plain)
		}
		left.Stop()
		right.Stop()
		sn.Stop()
	})
}

// A supernode with an obfuscation key is served by streams where UDP is blocked, and found by
// UDP again when it is not any more.
func TestObfsKeyAndStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlockedFrom(t, Beside{Streams: true, ObfsKey: obfsKey}, blockUDP)
		defer b.end()
		time.Sleep(5 * time.Second)
		b.checkRegistered(true)
		b.both(5*time.Second, 100*time.Millisecond)
		b.edge.host.BlockUDP(false)
		for begun := time.Now(); b.supernode().Stream != "" && time.Since(begun) < 26*time.Second; {
			b.both(time.Second, 100*time.Millisecond)
		}
		b.checkRegistered(false)
		b.whole(0)
	})
}

// An edge with another obfuscation key, or with one where there is none, or without the one
// that there is, gets no answer, and says that this may be why. A new key ends that.
func TestOtherObfsKey(t *testing.T) {
	for _, c := range []struct {
		name      string
		has, edge []byte
		says      string
	}{
		{"another", obfsKey, []byte("another"), "if it has another obfuscation key than this edge, or none,"},
		{"one too many", nil, obfsKey, "if it has another obfuscation key than this edge, or none,"},
		{"none", obfsKey, []byte{}, "give that with --obfs-key-file FILE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 66)
				defer w.Close()
				sn := w.SupernodeWith(Beside{ObfsKey: c.has}, supernodeAddr)
				var told events
				e := w.Edge(behind(nattest.PortRestricted)(w.Net, 0), Options{Name: "edge", Supernodes: []*Supernode{sn}, Report: told.add, Around: Around{Obfs: c.edge}})
				time.Sleep(time.Minute)
				var said string
				words := render.Messages{Community: "c"}
				for _, ev := range told.of(control.EventNoAnswer) {
					said += words.Of(ev).Text
				}
				if !strings.Contains(said, c.says) || !strings.Contains(said, "[E08]") {
					t.Errorf("it says %q", said)
				}
				if out := sn.Server.Status(); out.Sessions > 0 {
					t.Errorf("the supernode has %d sessions", out.Sessions)
				}
				e.Stop()
				sn.Stop()
			})
		})
	}
}
