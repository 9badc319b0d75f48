package sim

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/nat/nattest"
	"hedgerow/transport"
)

// A supernode moves to another host: it is copied there, tells its edges, and ends. Those
// that it was told to register there as well, and what is relayed goes by the new one before
// the old one ends: nothing is lost. An edge that is started anew finds the new one although
// the old one is gone, by what it has kept.
func TestSupernodeRedirects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 61)
		defer w.Close()
		after := netip.MustParseAddr("203.0.113.77")
		old := w.Supernode(supernodeAddr)
		var sinks [2]Sink
		var told events
		o := Options{Supernodes: []*Supernode{old}, State: true, Report: told.add}
		left := w.Edge(behind(nattest.Symmetric)(w.Net, 0), with(o, "left", &sinks[0]))
		o.Report = nil
		right := w.Edge(behind(nattest.Symmetric)(w.Net, 1), with(o, "right", &sinks[1]))
		time.Sleep(time.Second)
		ping := w.Flow(left, right.MAC, &sinks[1])
		ping.For(2*time.Second, 50*time.Millisecond)
		newer := old.Copy(after)
		if err := old.Server.Move(after.String(), 7654); err != nil {
			t.Fatal(err)
		}
		ping.For(3*time.Second, 50*time.Millisecond)
		for _, e := range []*Edge{left, right} {
			if got, want := supernodes(e), []string{"203.0.113.1:7654", "203.0.113.77:7654"}; !slices.Equal(got, want) || !e.says("-l 203.0.113.77:7654") {
				t.Errorf("registered at %v, want %v; notes %q", got, want, e.status().Notes)
			}
		}
		if to := old.Server.Status().Totals.Redirect; to == nil || to.Place != "203.0.113.77:7654" || to.Edges != 2 || to.Noted != 2 {
			t.Errorf("the old one says %+v", to)
		}
		old.Stop()
		ping.For(5*time.Second, 50*time.Millisecond)
		time.Sleep(time.Second)
		if lost := ping.Lost(0, ping.Len()); len(lost) > 0 {
			t.Errorf("lost %s", brief(lost))
		}
		checkCount(t, "redirects told", len(told.of(control.EventRedirected)), 1)
		checkCount(t, "losses told", len(told.of(control.EventSupernodeLost))+len(told.of(control.EventNameMoved)), 0)
		right.Stop()
		right.Start()
		time.Sleep(5 * time.Second)
		for _, e := range []*Edge{left, right} {
			if got, want := supernodes(e), []string{"203.0.113.77:7654"}; !slices.Equal(got, want) {
				t.Errorf("in the end registered at %v, want %v", got, want)
			}
			e.Stop()
		}
		newer.Stop()
	})
}

// A supernode sends its edges where nobody is, or another supernode with another key: it
// gets few packets, nothing else changes, and they forget it. Where it sends them afterwards
// they go, and stay when it ends. A restart of either end brings
// nothing back but what the supernode says anew.
func TestRedirectToStranger(t *testing.T) {
	for name, stranger := range map[string]bool{"nobody": false, "another": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 62)
				defer w.Close()
				after := netip.MustParseAddr("203.0.113.77")
				old := w.Supernode(supernodeAddr)
				var sinks [2]Sink
				var told events
				o := Options{Supernodes: []*Supernode{old}, State: true, Report: told.add}
				left := w.Edge(behind(nattest.Symmetric)(w.Net, 0), with(o, "left", &sinks[0]))
				o.Report = nil
				right := w.Edge(behind(nattest.Symmetric)(w.Net, 1), with(o, "right", &sinks[1]))
				var victim *nattest.Conn
				if stranger {
					defer w.Supernode(after).Stop()
				} else {
					victim = lab.Must(w.Net.Host(after).Listen(7654))
				}
				time.Sleep(time.Second)
				ping := w.Flow(left, right.MAC, &sinks[1])
				if err := old.Server.Move(after.String(), 7654); err != nil {
					t.Fatal(err)
				}
				ping.For(10*time.Second, 50*time.Millisecond)
				left.Stop()
				left.Start()
				time.Sleep(90 * time.Minute)
				ping.For(2*time.Second, 50*time.Millisecond)
				time.Sleep(time.Second)
				if lost := ping.Lost(0, ping.Len()); len(lost) > 0 {
					t.Errorf("lost %s", brief(lost))
				}
				for _, e := range []*Edge{left, right} {
					if got := supernodes(e); !slices.Equal(got, []string{"203.0.113.1:7654"}) || e.says("203.0.113.77") {
						t.Errorf("registered at %v, notes %q", got, e.status().Notes)
					}
				}
				checkCount(t, "redirects told", len(told.of(control.EventRedirected)), 2)
				checkCount(t, "losses told", len(told.of(control.EventSupernodeLost)), 0)
				good := netip.MustParseAddr("203.0.113.78")
				newer := old.Copy(good)
				if err := old.Server.Move(good.String(), 7654); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				old.Stop()
				time.Sleep(time.Minute)
				for _, e := range []*Edge{left, right} {
					if got := supernodes(e); !slices.Equal(got, []string{"203.0.113.78:7654"}) {
						t.Errorf("moved once more, registered at %v, notes %q", got, e.status().Notes)
					}
					e.Stop()
				}
				newer.Stop()
				if victim != nil {
					n := count(victim)
					t.Logf("%d packets of three runs of edges", n)
					if n > 3*(8+6*2) {
						t.Errorf("%d packets", n)
					}
				}
			})
		})
	}
}

// An edge that comes by a stream alone goes over to the new place when the supernode ends where
// it was, finds it there after a restart, and by UDP when that is let through.
func TestStreamFollowsRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlocked(t, func(o *Options, h *nattest.Host) {
			blockUDP(o, h)
			o.State = true
		})
		after := netip.MustParseAddr("203.0.113.77")
		time.Sleep(5 * time.Second)
		newer := b.sn.Copy(after)
		if err := b.sn.Server.Move(after.String(), 7654); err != nil {
			t.Fatal(err)
		}
		b.both(3*time.Second, 50*time.Millisecond)
		b.checkRegistered(true)
		if to := b.sn.Server.Status().Totals.Redirect; to == nil || to.Edges != 2 || to.Noted != 2 {
			t.Errorf("the old one says %+v", to)
		}
		ended := time.Now()
		b.sn.Stop()
		b.both(10*time.Second, 50*time.Millisecond)
		time.Sleep(time.Second)
		b.gaps(ended, 4*time.Second)
		at := func(byStream bool) {
			t.Helper()
			b.checkRegistered(byStream)
			if got, want := supernodes(b.edge), []string{"203.0.113.77:7654"}; !slices.Equal(got, want) {
				t.Errorf("registered at %v, want %v", got, want)
			}
		}
		at(true)
		b.edge.Stop()
		b.edge.Start()
		time.Sleep(5 * time.Second)
		at(true)
		time.Sleep(3 * time.Hour) // it stays, also when the pauses before the first answer are over
		at(true)
		b.edge.host.BlockUDP(false)
		time.Sleep(10 * time.Minute)
		at(false)
		newer.Stop()
		b.edge.Stop()
		b.other.Stop()
		b.Close()
	})
}

// An edge that comes by a stream is sent where the supernode does not answer: the one it had
// comes back, and it is there. Few streams are made to the other place.
func TestStreamToStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlocked(t, blockUDP)
		after := netip.MustParseAddr("203.0.113.77")
		time.Sleep(5 * time.Second)
		if err := b.sn.Server.Move(after.String(), 7654); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		b.sn.Stop()
		time.Sleep(20 * time.Minute)
		before := len(b.path.to(after))
		if before == 0 || before > 5 { // at once, and after 1, 2, 4 and 8 min
			t.Errorf("%d streams were tried there in 20 min", before)
		}
		b.sn.Start()
		time.Sleep(5 * time.Minute)
		b.checkRegistered(true)
		time.Sleep(3 * time.Hour)
		b.checkRegistered(true)
		if n := len(b.path.to(after)); n > before {
			t.Errorf("%d streams were tried there while the supernode answers where it was", n-before)
		}
		b.end()
	})
}

// count returns how many datagrams wait at a socket.
func count(c *nattest.Conn) (n int) {
	in := make([]transport.Datagram, 64)
	for i := range in {
		in[i].Buf = make([]byte, 2048)
	}
	for {
		got, err := c.ReadBatch(in)
		if n += got; err != nil || got == 0 {
			return n
		}
	}
}
