package integration

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// leases are what a restart must not change.
type leases map[string]string

func (w *town) leases(members ...*member) leases {
	l := make(leases)
	for _, m := range members {
		l[m.Name] = m.prefix().String() + " " + m.status().MAC
	}
	return l
}

// same fails the test if one of those that are asked about now has changed.
func (l leases) same(t *testing.T, now leases) {
	t.Helper()
	for name, has := range now {
		if has != l[name] {
			t.Errorf("%s has %s, had %s", name, has, l[name])
		}
	}
}

// kill ends a program at once.
func (w *town) kill(p interface{ Kill() error }) {
	w.t.Helper()
	if err := p.Kill(); err != nil {
		w.t.Fatal(err)
	}
}

// again starts a program that has ended.
func (w *town) again(m *member) {
	w.t.Helper()
	if err := m.Start(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

// restartSupernode starts the supernode again and returns when it listened.
func (w *town) restartSupernode() time.Time {
	w.t.Helper()
	if err := w.super.Start(w.ctx); err != nil {
		w.t.Fatal(err)
	}
	w.await(w.super, "listening on")
	return time.Now()
}

// The supernode is killed and started again: on a direct path none of 10 000
// numbered frames is lost, in either direction.
func TestSupernodeRestartDirect(t *testing.T) {
	const count, rate = 10_000, 1000
	w := newTown(t, 60*time.Second)
	left, right := w.pair(lab.PortRestricted)
	before := w.leases(left, right)
	left.meet(right.addr(), 2*time.Second)
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)

	there := newFlow(left, right, 9000, count)
	back := newFlow(right, left, 9001, count)
	var flows sync.WaitGroup
	flows.Go(func() { there.send(count, rate) })
	flows.Go(func() { back.send(count, rate) })
	time.Sleep(2 * time.Second)
	w.kill(w.super)
	time.Sleep(4 * time.Second)
	w.restartSupernode()
	flows.Wait()
	there.wantAll(t, "left to right")
	back.wantAll(t, "right to left")
	before.same(t, w.leases(left, right))
	w.registered(2)
}

// registered waits until the supernode has that many edges.
func (w *town) registered(edges int) {
	w.t.Helper()
	w.registeredAt(w.super, edges)
}

// registeredAt is registered for any supernode.
func (w *town) registeredAt(super *rig.Program, edges int) {
	w.t.Helper()
	for {
		st, err := w.SupernodeStatus(w.ctx, super)
		if err == nil && st.Edges == edges {
			return
		}
		if w.ctx.Err() != nil {
			w.t.Fatalf("%s has not %d edges: %+v, %v", super.Name, edges, st, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Relayed traffic goes on within 1 s of the supernode listening again, after a
// short and after a long absence, and the leases are the same. So are those of
// an edge that starts anew then.
func TestSupernodeRestartRelayed(t *testing.T) {
	t.Parallel()
	absences := map[string]time.Duration{"short": 200 * time.Millisecond, "long": 8 * time.Second}
	for name, absence := range absences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const rate = 200
			w := newTown(t, 60*time.Second)
			left, right := w.pair(lab.SymmetricRandom)
			before := w.leases(left, right)
			left.meet(right.addr(), 2*time.Second)
			left.reach(right, control.PathRelay)

			seconds := int(absence/time.Second) + 8
			f := newFlow(left, right, 9000, seconds*rate)
			f.waits = watchWaits(t, left.Pid(), right.Pid())
			var flows sync.WaitGroup
			flows.Go(func() { f.send(seconds*rate, rate) })
			time.Sleep(2 * time.Second)
			w.kill(w.super)
			time.Sleep(absence)
			listening := w.restartSupernode()
			flows.Wait()
			f.finish()
			first := f.firstAfter(listening)
			if took := f.waits.spent(listening, first); first.IsZero() || took > time.Second {
				t.Errorf("traffic again %v after the supernode was", took)
			}
			rest := f.unbroken(first)
			if rest > 0 {
				t.Errorf("%d frames lost after traffic went on", rest)
			}
			t.Logf("absent %v: traffic again after %v, %d of %d lost in all", absence, first.Sub(listening), len(f.missing()), f.sent)
			before.same(t, w.leases(left, right))
			w.kill(right)
			w.again(right)
			before.same(t, w.leases(right))
		})
	}
}

// unbroken counts the datagrams that were sent after a time, and a short while
// for what was under way, and did not arrive.
func (f *flow) unbroken(since time.Time) (lost int) {
	const underWay = 300 * time.Millisecond
	for _, i := range f.missing() {
		if f.due(i).After(since.Add(underWay)) {
			lost++
		}
	}
	return lost
}

// An edge is killed and started again, 20 times: each time there is traffic in
// less than 2 s, without what the programs wait for a processor, with the same addresses.
// Every other time it is the restarted
// edge that speaks first. Not in parallel: each restart is timed.
func TestEdgeRestart(t *testing.T) {
	kinds := []lab.Kind{lab.PortRestricted, lab.SymmetricRandom}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			const rounds = 20
			w := newTown(t, 120*time.Second)
			left, right := w.pair(kind)
			before := w.leases(left, right)
			addrs := [...]netip.Addr{left.addr(), right.addr()}
			left.meet(addrs[1], 2*time.Second)
			right.meet(addrs[0], 2*time.Second)
			var worst time.Duration
			late := 0
			for round := range rounds {
				// Anywhere between a relayed beginning and a settled path.
				time.Sleep(rand.N(time.Second))
				w.kill(right)
				began, busy := time.Now(), waiting(left.Pid(), w.super.Pid())
				w.again(right)
				first, to := left, addrs[1]
				if round%2 == 1 {
					first, to = right, addrs[0]
				}
				if _, err := first.knock(to, 10*time.Second); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				took := machine.since(began) - (waiting(left.Pid(), w.super.Pid(), right.Pid()) - busy)
				worst = max(worst, took)
				if took >= 2*time.Second {
					late++
					t.Errorf("round %d: traffic again after %v", round, took)
				}
				before.same(t, w.leases(right))
			}
			t.Logf("%d of %d in time, the slowest after %v", rounds-late, rounds, worst)
		})
	}
}
