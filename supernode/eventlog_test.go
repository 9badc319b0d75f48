package supernode

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/protocol"
)

// heldLog is a log at Info level whose writer waits while it is held.
type heldLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	held chan struct{} // closed: it does not wait
}

func (l *heldLog) Write(b []byte) (int, error) {
	<-l.held
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines returns the lines since the last call, without their time and level.
func (l *heldLog) lines() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), "msg=")
		all = append(all, line)
	}
	l.text.Reset()
	return all
}

func (l *heldLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// TestEventLog: the first and the last member of each community have a line, members between
// have none, and what was refused has one for all each ten minutes and at the end. A log
// that takes nothing keeps no edge waiting.
func TestEventLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &heldLog{held: make(chan struct{})}
		r := run(t, Config{Log: log.logger(), Rules: rulesOf(t, "allow community one label Roofs")})
		one, two := testCommunity("one", "k"), testCommunity("two", "k")
		a, b, c := r.edge(one, "a", 1), r.edge(one, "b", 2), r.edge(two, "c", 3)
		for _, e := range []*fakeEdge{a, b, c} {
			e.joinRunning(r) // it fails the test if there is no answer
		}
		close(log.held)
		synctest.Wait()
		const first, last = `"a community has its first member" community=`, `"a community has no member any more" community=`
		expect := func(what string, want ...string) {
			t.Helper()
			if got := log.lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		id1, id2 := communityText(one.ID()), communityText(two.ID())
		expect("after they came", first+id1+" label=Roofs", first+id2)

		r.exchange(a.addr, a.wrap(b.ack.Handle, 0, junk(60)))
		for range 3 {
			r.exchange(a.addr, junk(60))
			r.exchange(a.addr, a.wrap(12345, 0, junk(60)))
		}
		time.Sleep(20 * time.Second)
		r.exchange(a.addr, a.seal(&protocol.Unregister{}))
		expect("with a member left")
		r.exchange(b.addr, b.seal(&protocol.Unregister{}))
		synctest.Wait()
		expect("without", last+id1+" label=Roofs after=20s relayed=60")
		time.Sleep(summedEvery)
		synctest.Wait()
		got := log.lines() // the other one's edge has fallen silent meanwhile
		if len(got) != 2 || !strings.HasPrefix(got[0], last+id2+" after=2m") || !strings.HasPrefix(got[1], "refusals within=10m") || !strings.Contains(got[1], " relay-target=3") {
			t.Errorf("ten minutes later: %q", got)
		}
		r.exchange(a.addr, junk(3))
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if got = log.lines(); len(got) != 1 || !strings.HasPrefix(got[0], "refusals within=") || !strings.HasSuffix(got[0], " short=1") {
			t.Errorf("at the end: %q", got)
		}
	})
}

// TestEventLogIsBounded: who makes thousands of communities come and go fills no log, and
// what was left out is counted.
func TestEventLogIsBounded(t *testing.T) {
	log := &heldLog{held: make(chan struct{})}
	close(log.held)
	r := newRig(t, Config{Log: log.logger()})
	r.crowded(3000, 1)
	events := r.s.registry.events
	events.rest()
	if n := len(log.lines()); n != communityLinesBurst {
		t.Errorf("%d lines", n)
	}
	r.now = r.now.Add(time.Minute)
	for _, reg := range r.s.registry.all {
		r.s.registry.setOffline(reg)
		reg.hop = nil
	}
	events.rest()
	if got := log.lines(); len(got) != 6 || !strings.HasSuffix(got[0], " left_out=2900") {
		t.Errorf("%d lines, %q", len(got), got[:min(len(got), 2)])
	}
	// Many reasons are named by the largest, and the rest summed.
	for reason := range dropReason(20) {
		for range int(reason) + 1 {
			r.s.refused.drop(reason)
		}
	}
	events.sum(r.now)
	events.rest()
	if got := log.lines(); len(got) != 1 || !strings.HasPrefix(got[0], "refusals within=1m0s "+dropReason(19).String()+"=20 ") || !strings.HasSuffix(got[0], " others=36") {
		t.Errorf("%q", got)
	}
	events.sum(r.now)
	events.rest()
	if got := log.lines(); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}
