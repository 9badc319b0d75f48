package edge

import (
	"context"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/vmgen"
	"hedgerow/protocol"
)

// forkedEdge is an edge on a machine whose clocks and identity a test sets.
type forkedEdge struct {
	*testServer
	at      time.Time // as the machine reads it
	boot    time.Duration
	machine string
	told    chan func() // what the system was given to tell of forks
}

func newForkedEdge(t *testing.T) *forkedEdge {
	f := &forkedEdge{at: time.Now(), machine: "one", told: make(chan func(), 1)}
	f.testServer = newServer(t, func(c *Config) {
		c.Host.BootClock = func() time.Duration { return f.boot }
		c.Host.Machine = func() string { return f.machine }
		c.Host.Watch.Forks = func(ctx context.Context, forked func()) error {
			f.told <- forked
			<-ctx.Done()
			return nil
		}
	})
	w := &f.chores.clock
	w.last, w.wall, w.boot, w.machine = time.Time{}, vmgen.Clock{}, 0, ""
	f.watchClock(f.at)
	return f
}

// second lets a second pass, after which the watchdog looks.
func (f *forkedEdge) second() {
	f.at, f.boot = f.at.Add(clockEvery), f.boot+clockEvery
	f.watchClock(f.at)
	f.settle(f.at)
}

// counters are where each key of an edge stands.
func (f *forkedEdge) counters(keys []any) (list []uint64) {
	f.tb.Helper()
	for _, k := range keys {
		var n [2]uint64
		var err [2]error
		switch k := k.(type) {
		case *crypto.Session:
			n[0], err[0] = k.Reserve(0)
		case *crypto.GroupSender:
			n[0], err[0] = k.Reserve(0)
		case *crypto.HopSession:
			var relayed uint32
			n[0], err[0] = k.Reserve(0)
			relayed, err[1] = k.ReserveRelays(0)
			n[1] = uint64(relayed)
		}
		if err[0] != nil || err[1] != nil {
			f.tb.Fatal(err)
		}
		list = append(list, n[0], n[1])
	}
	return list
}

// TestForks suspends, restores and clones a machine with its memory, in every way that can
// be noticed. From then on no counter of any key that there was is used: not of pair
// sessions in use, replaced, or answered and confirmed later, nor of hop sessions with
// their RELAY, nor of the salt in use and the one to come.
func TestForks(t *testing.T) {
	for name, fork := range map[string]func(f *forkedEdge){
		"suspended":           func(f *forkedEdge) { f.boot += time.Hour },
		"restored a day late": func(f *forkedEdge) { f.at = jump(t, f.at, 24*time.Hour) },
		"restored at once":    func(f *forkedEdge) { f.at = jump(t, f.at, vmgen.Forward+time.Millisecond) },
		"cloned":              func(f *forkedEdge) { f.machine = "two" },
		"the system tells": func(f *forkedEdge) {
			tell := <-f.told
			done := make(chan struct{})
			go func() { tell(); close(done) }()
			f.await(f.at)
			<-done
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newForkedEdge(t)
			f.answer(f.at)
			granted := ack(3)
			f.say(f.at, granted.Append(nil))
			roof, barn, shed := f.met(2, "roof"), f.neighbour(3), f.met(4, "shed")
			f.promote(roof, f.testEdge.session(roof, f.at, 250, false)) // the one before is opened still
			waiting := f.testEdge.session(shed, f.at, 450, false)
			shed.sessions.answer(f.at, waiting, f.data.draft)
			f.initiated(5)
			f.keys.drawSalt(f.at, false)
			f.second()
			if f.keys.coming == nil {
				t.Fatal("no salt is to come")
			}
			old := []any{f.s.hop.session.Crypto(), f.keys.group, f.keys.coming, waiting.Crypto()}
			for _, p := range []*peer{roof, barn, shed} {
				for _, s := range []*dataplane.Session{p.sessions.current, p.sessions.previous} {
					if s != nil {
						old = append(old, s.Crypto())
					}
				}
			}
			if len(old) != 8 {
				t.Fatalf("%d keys", len(old))
			}
			pending, hopSession, restored := f.peers.byStatic[testIdentity(5).Static].sessions.init.index, f.testServer.session, f.at
			f.sentNow()
			fork(f)
			f.second()
			before := f.counters(old)
			if f.keys.group == old[1] || f.data.draft.Group() != f.keys.group || f.keys.coming == old[2] || f.s.view.Reachable() || f.s.registered() {
				t.Error("the queues send under an old salt, or by an old hop session")
			}
			if f.sessions.pending[pending] != nil {
				t.Error("the handshake that was under way goes on")
			}
			inits := 0
			for _, d := range f.sentNow() {
				if len(d.pkt) == protocol.InitLen {
					inits++
				}
			}
			if inits < 2 {
				t.Errorf("%d new handshakes were begun", inits)
			}
			f.busy(hopSession, waiting, roof, barn, shed)
			after := f.counters(old)
			for i := range before {
				if before[i] != after[i] {
					t.Errorf("key %d has sealed %d packets since (%T)", i/2, after[i]-before[i], old[i/2])
				}
			}
			if f.at.Sub(restored) < 10*time.Second {
				t.Error("nothing happened")
			}
		})
	}
}

// initiated begins a handshake with a peer.
func (e *testEdge) initiated(n byte) *peer {
	p := e.introduced(n)
	e.sessions.initiate(p)
	e.settle(noon)
	return p
}

// busy has everything happen that makes an edge send, for ten seconds, without any
// handshake coming to its end.
func (f *forkedEdge) busy(hop *crypto.HopSession, waiting *dataplane.Session, peers ...*peer) {
	f.tb.Helper()
	ping := protocol.Ping{Nonce: [8]byte{1}, Pad: protocol.MinPingPad}
	for range 10 {
		f.session = hop
		f.say(f.at, ping.Append(nil)) // the supernode's packets in the old session are opened, and not answered
		granted := ack(3)
		f.say(f.at, granted.Append(nil))
		for _, p := range peers {
			if p.sessions.current != nil {
				f.handle(f.at, dataplane.PairMessages{Peer: p.view, Session: p.sessions.current.Crypto(), Origin: atPeer, Messages: ping.Append(nil)})
			}
			f.handle(f.at, dataplane.Needed{Peer: p.view})
		}
		f.handle(f.at, dataplane.Confirmed{Peer: peers[2].view, Session: waiting.Crypto(), Origin: atPeer})
		f.handle(f.at, dataplane.MACWanted{MAC: host(7)})
		f.sessions.vouch()
		f.sessions.introduceAll()
		(*networkObserver)(f.Edge).CandidatesChanged(f.at)
		f.servers.addresses.changed = true
		f.settle(f.at)
		f.tick(f.at)
		f.second()
	}
	f.servers.registrar.goodbye()
	f.sessions.goodbye()
	f.data.send.Flush()
}
