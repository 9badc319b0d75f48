package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// The way from an edge to the supernode and back, and what a stream needs to
// open: TCP, TLS and a WebSocket.
const (
	roundTrip = 10 * time.Millisecond
	opening   = 3 * roundTrip
)

// stunCookie tells STUN from our packets (RFC 8489, section 5).
const stunCookie = 0x2112a442

// blocked is an edge that streams can help, and one that does without; both are
// behind routers that no direct path leads through, unless a test says so.
type blocked struct {
	*World
	t           *testing.T
	sn          *Supernode
	path        StreamPath
	edge, other *Edge
	there, back *Flow
	sinks       [2]Sink
	told        events
	begun       time.Time
}

// newBlocked returns both before they have registered. change may change the
// options of the one, before what is around it.
func newBlocked(t *testing.T, change func(*Options, *nattest.Host)) *blocked {
	return newBlockedFrom(t, Beside{Streams: true}, change)
}

// newBlockedFrom is newBlocked with a supernode that is more than that.
func newBlockedFrom(t *testing.T, beside Beside, change func(*Options, *nattest.Host)) *blocked {
	b := &blocked{World: New(t, 71), t: t}
	b.sn = b.SupernodeWith(beside, supernodeAddr)
	b.other = b.Edge(behind(nattest.Symmetric)(b.Net, 1), Options{
		Name: "other", Supernodes: []*Supernode{b.sn}, Deliver: b.sinks[1].Deliver, Address: none,
	})
	time.Sleep(time.Second)
	host := behind(nattest.Symmetric)(b.Net, 0)
	o := Options{
		Name: "edge", Supernodes: []*Supernode{b.sn}, Deliver: b.sinks[0].Deliver, Address: none, Report: b.told.add,
		Around: Around{Streams: &b.path},
	}
	if change != nil {
		change(&o, host)
	}
	b.begun = time.Now()
	b.edge = b.Edge(host, o)
	b.there, b.back = b.Flow(b.edge, b.other.MAC, &b.sinks[1]), b.Flow(b.other, b.edge.MAC, &b.sinks[0])
	return b
}

// blockUDP is a change for newBlocked.
func blockUDP(_ *Options, h *nattest.Host) { h.BlockUDP(true) }

func (b *blocked) end() {
	b.edge.Stop()
	b.other.Stop()
	b.sn.Stop()
	b.Close()
}

// both sends frames both ways for a time.
func (b *blocked) both(d, every time.Duration) {
	for range d / every {
		b.there.Send()
		b.back.Send()
		time.Sleep(every)
	}
}

// when returns how long after the start of the edge events of a kind came.
func (b *blocked) when(kind control.EventKind) (times []time.Duration) {
	for _, ev := range b.told.of(kind) {
		times = append(times, ev.Time.Sub(b.begun))
	}
	return times
}

// supernode returns how the edge sees its supernode.
func (b *blocked) supernode() control.SupernodeStatus {
	b.t.Helper()
	return b.edge.status().Supernodes[0]
}

// checkRegistered fails the test unless the edge is registered, by a stream or
// not.
func (b *blocked) checkRegistered(byStream bool) {
	b.t.Helper()
	if s := b.supernode(); s.State != control.StateRegistered || (s.Stream != "") != byStream {
		b.t.Errorf("the supernode is %s, by the stream %q", s.State, s.Stream)
	}
}

// gaps fails the test for a pause of either flow since a moment.
func (b *blocked) gaps(since time.Time, most time.Duration) {
	b.t.Helper()
	for i, f := range []*Flow{b.there, b.back} {
		gap := f.Gap(since)
		b.t.Logf("flow %d: a gap of %v", i, gap)
		if gap > most {
			b.t.Errorf("flow %d: a gap of %v, want %v at most", i, gap, most)
		}
	}
}

// whole fails the test for what was lost of either flow from a number on, or
// delivered twice.
func (b *blocked) whole(from int) {
	b.t.Helper()
	time.Sleep(time.Second)
	for _, f := range []*Flow{b.there, b.back} {
		if lost := f.Lost(from, f.Len()); len(lost) > 0 {
			b.t.Errorf("lost %s", brief(lost))
		}
		if twice := f.Twice(); len(twice) > 0 {
			b.t.Errorf("delivered twice: %s", brief(twice))
		}
	}
}

// Where UDP is blocked from the start a stream is dialled after one second, and
// the edge is ready when it has opened and two exchanges have gone over it.
func TestUDPBlockedFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlocked(t, blockUDP)
		defer b.end()
		time.Sleep(5 * time.Second)
		checkTimes(t, "dials", b.path.dialled(b.begun), time.Second)
		checkTimes(t, "a stream", b.when(control.EventStream), time.Second+opening)
		checkTimes(t, "ready", b.when(control.EventReady), time.Second+opening+2*roundTrip)
		b.checkRegistered(true)
		if text := b.told.of(control.EventRegistered)[0].Text; text != "TLS to 203.0.113.1" {
			t.Errorf("registered by %q", text)
		}
		b.both(10*time.Second, 20*time.Millisecond)
		b.whole(0)
		way := wayTo(t, b.edge, b.other)
		if way.Path != control.PathRelay || way.Kind != control.KindTLS {
			t.Errorf("the way is %+v", way)
		}
		b.both(40*time.Minute, time.Second) // the session is renewed over it
		b.whole(0)
		if n := len(b.path.Dials()); n != 1 {
			t.Errorf("dialled %d times", n)
		}
		if st := b.sn.Server.Status().Streams; st == nil || st.Open != 1 || st.Strangers != 0 {
			t.Errorf("the supernode has %+v", st)
		}
	})
}

// dialled returns when streams were dialled, after a moment.
func (p *StreamPath) dialled(since time.Time) (times []time.Duration) {
	for _, at := range p.Dials() {
		times = append(times, at.Sub(since))
	}
	return times
}

func checkTimes(t *testing.T, what string, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

// Where UDP works no stream is dialled.
func TestNoStreamWhereUDPWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlocked(t, nil)
		defer b.end()
		b.both(time.Hour, 10*time.Second)
		if n := b.path.Dials(); len(n) > 0 {
			t.Errorf("dialled %d times", len(n))
		}
		b.checkRegistered(false)
	})
}

// UDP is blocked in mid-session: relayed frames go on by a stream after the second
// ping that is missed, and the supernode counts as reached all the time. When it comes back the edge registers by UDP again within the 25 s
// between two questions, no frame is lost, and the stream ends ten seconds later.
func TestUDPBlockedAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlocked(t, nil)
		defer b.end()
		time.Sleep(time.Second)
		b.both(10*time.Second, 20*time.Millisecond)
		b.edge.host.BlockUDP(true)
		at, n := time.Now(), b.there.Len()
		b.both(20*time.Second, 20*time.Millisecond)
		b.gaps(at, 1600*time.Millisecond)
		b.checkRegistered(true)
		for range 60 {
			b.both(time.Second, 20*time.Millisecond)
		}
		b.edge.host.BlockUDP(false)
		at, m := time.Now(), b.there.Len()
		begun := at
		for b.supernode().Stream != "" && time.Since(at) < time.Minute {
			b.both(100*time.Millisecond, 20*time.Millisecond)
		}
		within(t, "going back to UDP", time.Since(begun), 0, 26*time.Second)
		if n := len(b.edge.Streams()); n != 1 {
			t.Errorf("%d streams are left", n)
		}
		b.both(9*time.Second, 20*time.Millisecond)
		if n := len(b.edge.Streams()); n != 1 {
			t.Errorf("%d streams are left after 9 s", n)
		}
		b.both(2*time.Second, 20*time.Millisecond)
		if n := len(b.edge.Streams()); n != 0 {
			t.Errorf("%d streams are left after 11 s", n)
		}
		b.whole(m)
		if lost := b.there.Lost(n+100, m); len(lost) > 0 {
			t.Errorf("lost on the stream %s", brief(lost))
		}
		b.checkRegistered(false)
		checkCount(t, "times lost", len(b.told.of(control.EventSupernodeLost)), 0)
	})
}

func checkCount(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%d %s, want %d", got, what, want)
	}
}

// With streams only, nothing goes to a supernode by UDP but questions of STUN, which
// direct paths need.
func TestStreamOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlocked(t, func(o *Options, h *nattest.Host) { o.Reach.StreamOnly = true })
		defer b.end()
		var other atomic.Int32
		b.Net.Tap(func(from, to netip.AddrPort, p []byte) {
			if from.Addr() == leftOutside && to.Addr() == supernodeAddr && (len(p) < 20 || binary.BigEndian.Uint32(p[4:]) != stunCookie) {
				other.Add(1)
			}
		})
		time.Sleep(time.Second)
		checkTimes(t, "ready", b.when(control.EventReady), opening+2*roundTrip)
		b.both(2*time.Minute, 100*time.Millisecond)
		b.whole(0)
		b.checkRegistered(true)
		if n := other.Load(); n > 0 {
			t.Errorf("%d datagrams went to the supernode by UDP", n)
		}
	})
}

// The stream in use breaks, or falls silent: another one carries on, a second after
// that has been noticed, since UDP has its chance first.
func TestStreamDies(t *testing.T) {
	for _, c := range []struct {
		name string
		die  func(*nattest.Stream)
		most time.Duration // of a gap
	}{
		{"broken", (*nattest.Stream).Break, 1100 * time.Millisecond},
		{"silent", (*nattest.Stream).Cut, 3 * time.Second},
		{"not read any more", func(s *nattest.Stream) { s.Stall(true) }, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBlocked(t, blockUDP)
				defer b.end()
				time.Sleep(2 * time.Second)
				b.both(5*time.Second, 20*time.Millisecond)
				for range 3 {
					at := time.Now()
					c.die(b.edge.Streams()[0])
					b.both(10*time.Second, 20*time.Millisecond)
					b.gaps(at, c.most)
					b.checkRegistered(true)
				}
				n := b.there.Len()
				b.both(100*time.Second, 100*time.Millisecond) // the silent ones end meanwhile
				b.whole(n)
				checkCount(t, "streams", len(b.edge.Streams()), 1)
			})
		})
	}
}

// The supernode restarts behind a stream: the edge comes back by another one
// within the time between two dials, which grows while nobody answers.
func TestSupernodeRestartBehindStream(t *testing.T) {
	for _, end := range ends {
		for _, away := range []time.Duration{0, 5 * time.Second, 3 * time.Minute} {
			t.Run(fmt.Sprint(end.name, " for ", away), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBlocked(t, blockUDP)
					defer b.end()
					time.Sleep(2 * time.Second)
					b.both(5*time.Second, 50*time.Millisecond)
					end.supernode(b.sn)
					b.both(away, 50*time.Millisecond)
					b.sn.Start()
					up := time.Now()
					most := min(away, time.Minute) + 2*time.Second + time.Second
					b.both(most+10*time.Second, 50*time.Millisecond)
					for _, f := range []*Flow{b.there, b.back} {
						t.Logf("resumed after %v", f.Resumed(up))
						within(t, "resuming", f.Resumed(up), 0, most)
					}
					b.checkRegistered(true)
					b.whole(b.there.Len() - 100)
				})
			})
		}
	}
}

// The supernode's name means nothing here, but to a proxy; without one, neither
// helps, and both is told.
func TestNameKnownToProxyOnly(t *testing.T) {
	for _, proxy := range []bool{true, false} {
		t.Run(fmt.Sprint("proxy ", proxy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBlocked(t, func(o *Options, h *nattest.Host) {
					o.Around.Names = func() netip.Addr { return netip.Addr{} }
				})
				defer b.end()
				b.path.Proxy(proxy)
				time.Sleep(10 * time.Second)
				if len(b.told.of(control.EventResolveFailed)) == 0 {
					t.Error("that the name is unknown was not told")
				}
				if !proxy {
					if s := b.supernode(); s.State != control.StateResolving {
						t.Errorf("the supernode is %s", s.State)
					}
					checkCount(t, "failures told", len(b.told.of(control.EventStreamFailed)), 1)
					return
				}
				checkTimes(t, "a stream", b.when(control.EventStream), time.Second+opening)
				checkTimes(t, "ready", b.when(control.EventReady), time.Second+opening+2*roundTrip)
				b.both(2*time.Minute, 100*time.Millisecond)
				b.whole(0)
				b.checkRegistered(true)
			})
		})
	}
}

// A stream that cannot be made is tried again after 2, 4, 8, 16, 32 and then
// always 60 s, with up to a second of chance; each reason is told once. One that
// gets no answer takes the four seconds of a dial.
func TestStreamRefused(t *testing.T) {
	refused, denied := errors.New("connection refused"), errors.New("407 Proxy Authentication Required")
	waits := []time.Duration{2, 4, 8, 16, 32, 60, 60, 60}
	for _, c := range []struct {
		name  string
		set   func(*StreamPath)
		least time.Duration // between two dials
	}{
		{"refused", func(p *StreamPath) { p.Refuse(refused) }, 0},
		{"denied by a proxy", func(p *StreamPath) { p.Proxy(true); p.Refuse(denied) }, 0},
		{"no answer", func(p *StreamPath) { p.Hang(true) }, dialTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBlocked(t, blockUDP)
				defer b.end()
				c.set(&b.path)
				time.Sleep(6 * time.Minute)
				dials := b.path.dialled(b.begun)
				if len(dials) < len(waits)+1 || dials[0] != time.Second {
					t.Fatalf("dialled after %v", dials)
				}
				for i, w := range waits {
					within(t, "a wait", dials[i+1]-dials[i], max(w*time.Second, c.least), max((w+1)*time.Second, c.least))
				}
				checkCount(t, "failures told", len(b.told.of(control.EventStreamFailed)), 1)
				checkCount(t, "silences told", len(b.told.of(control.EventNoAnswer)), 1)

				// It opens, and the next time it is closed the waits begin anew.
				b.path.Refuse(nil)
				b.path.Hang(false)
				time.Sleep(time.Minute + time.Second + opening + 2*roundTrip)
				b.checkRegistered(true)
				if got := len(b.told.of(control.EventReady)); got != 1 {
					t.Errorf("ready %d times", got)
				}
				c.set(&b.path)
				n := len(b.path.Dials())
				b.edge.Streams()[0].Break()
				time.Sleep(30 * time.Second)
				again := b.path.Dials()[n:]
				for i, w := range waits[:3] {
					within(t, "a wait", again[i+1].Sub(again[i]), max(w*time.Second, c.least), max((w+1)*time.Second, c.least))
				}
			})
		})
	}
}

// UDP answers while a stream is being dialled: the stream is not used, and let go.
func TestStreamTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlocked(t, blockUDP)
		defer b.end()
		time.Sleep(time.Second + roundTrip) // the dial is on its way
		b.edge.host.BlockUDP(false)
		await(t, 30*time.Second, "registered by UDP", func() bool {
			s := b.supernode()
			return s.State == control.StateRegistered && s.Stream == ""
		})
		b.both(30*time.Second, 100*time.Millisecond)
		b.checkRegistered(false)
		checkCount(t, "streams", len(b.edge.Streams()), 0)
		b.whole(0)
	})
}

// One edge that reads nothing keeps nobody else from the supernode.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlocked(t, blockUDP)
		defer b.end()
		third := b.Edge(behind(nattest.Symmetric)(b.Net, 2), Options{Supernodes: []*Supernode{b.sn}, Address: none})
		defer third.Stop()
		time.Sleep(3 * time.Second)
		b.both(5*time.Second, 50*time.Millisecond)
		slow := b.edge.Streams()[0]
		slow.Stall(true)
		f := b.Flow(third, b.other.MAC, &b.sinks[1])
		b.back.size = 1300
		for range 1000 { // more than the stream's queue holds
			f.Send()
			b.back.Send()
			time.Sleep(time.Millisecond)
		}
		slow.Stall(false)
		time.Sleep(5 * time.Second)
		if lost := f.Lost(0, f.Len()); len(lost) > 0 {
			t.Errorf("others lost %s", brief(lost))
		}
		n := b.there.Len()
		m := b.back.Len()
		b.both(5*time.Second, 50*time.Millisecond)
		time.Sleep(time.Second)
		for i, f := range []*Flow{b.there, b.back} {
			if lost := f.Lost([]int{n, m}[i], f.Len()); len(lost) > 0 {
				t.Errorf("lost afterwards %s", brief(lost))
			}
		}
	})
}
