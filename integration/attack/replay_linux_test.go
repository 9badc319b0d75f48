package attack

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// settle is how long a test waits for what should not come.
const settle = 300 * time.Millisecond

// watched is a stream with the receiver that counts its frames.
type watched struct {
	*stream
	at   *receiver
	seen map[uint32]int // as the stream ended
}

// traffic sends numbered frames of all kinds by all paths and waits for them.
func (w *town) traffic(unicast, broadcast int) (list []*watched) {
	w.t.Helper()
	at := map[*member]*receiver{}
	for _, m := range []*member{w.left, w.right, w.far, w.away} {
		at[m] = receive(w.t, m)
	}
	add := func(from, to, hears *member, s shape, size, n int) {
		st := newStream(w.t, from, to, s, size)
		st.send(w.t, n)
		list = append(list, &watched{stream: st, at: at[hears]})
	}
	for i, pair := range [][2]*member{{w.left, w.right}, {w.right, w.left}, {w.far, w.away}, {w.away, w.far}} {
		add(pair[0], pair[1], pair[1], elided, 80+i, unicast)
		add(pair[0], pair[1], pair[1], plain, 300+i, unicast/2)
		add(pair[0], pair[1], pair[1], elided, 1384, unicast/8) // the relay carries it in pieces
		add(pair[0], nil, pair[1], plain, 120+i, broadcast)
	}
	for _, s := range list {
		s.seen = s.at.await(s.stream, int(s.sent))
		if n := twice(s.seen); n > 0 {
			w.t.Errorf("%d frames of %s were delivered twice", n, s.from.Name)
		}
	}
	return list
}

// answered counts the datagrams between addresses that both sent to each other.
// The others are attempts that ended at a NAT, such as the thousand of the
// birthday technique, and end there again.
func answered(list []datagram) (n int) {
	type flow struct{ from, to netip.AddrPort }
	flows := make(map[flow]bool)
	for _, d := range list {
		flows[flow{d.from, d.to}] = true
	}
	for _, d := range list {
		if flows[flow{d.to, d.from}] {
			n++
		}
	}
	return n
}

// Over 10 000 recorded datagrams of every kind, sent again to where they went
// from where they came, in order and then in disorder: every frame stays
// delivered once, the packets are counted as what they are, and the community
// goes on.
func TestReplay(t *testing.T) {
	w := newTown(t)
	record := lab.Must(w.lab.Internet().Capture())
	// New sessions, so that handshakes and registrations are on record as well.
	for _, m := range []*member{w.right, w.away} {
		if err := m.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := m.Start(w.ctx); err != nil {
			t.Fatal(err)
		}
		lab.Must(w.rig.AwaitAddress(w.ctx, m.Program))
	}
	w.awaitPath(w.left, w.right, control.PathDirect)
	w.awaitPath(w.far, w.away, control.PathRelay)
	streams := w.traffic(1000, 300)
	time.Sleep(settle)
	if err := record.Stop(); err != nil {
		t.Fatal(err)
	}
	recorded := datagrams(record.Packets())
	if len(recorded) < 10_000 {
		t.Fatalf("%d datagrams on record", len(recorded))
	}

	edges := []*member{w.left, w.right, w.far, w.away}
	before := make(map[*member]map[string]uint64)
	for _, m := range edges {
		before[m] = w.drops(m)
	}
	superBefore := w.superStatus().Drops
	spoof := newSpoofer(t, w.lab.Internet().Namespace)
	again := func() {
		for i, d := range recorded {
			if err := spoof.send(d.from, d.to, d.payload); err != nil {
				t.Fatal(err)
			}
			if i%burst == 0 {
				time.Sleep(pause / 4)
			}
		}
	}
	began := time.Now()
	again()
	rand.Shuffle(len(recorded), func(i, j int) { recorded[i], recorded[j] = recorded[j], recorded[i] })
	again()
	conversed := answered(recorded)
	t.Logf("%d datagrams, %d of them of conversations, sent again twice in %v", len(recorded), conversed, time.Since(began).Round(time.Millisecond))
	time.Sleep(settle)

	for _, s := range streams {
		if now := s.at.counts(s.stream); !maps.Equal(now, s.seen) {
			t.Errorf("a stream of %s: %d frames were delivered twice", s.from.Name, twice(now))
		}
	}
	dropped := uint64(0)
	for _, m := range edges {
		diff := rig.Grown(before[m], w.drops(m))
		t.Logf("%s dropped %v", m.Name, diff)
		dropped += total(diff)
	}
	diff := rig.Grown(superBefore, w.superStatus().Drops)
	t.Logf("the supernode dropped %v", diff)
	dropped += total(diff)
	// What reached nobody proves nothing: nearly all must have been looked at.
	if share := float64(dropped) / float64(2*conversed); share < 0.98 {
		t.Errorf("only %.3f of the replayed datagrams were dropped by anybody", share)
	} else {
		t.Logf("%.3f of the replayed datagrams were dropped and counted", share)
	}
	w.traffic(100, 20)
}
