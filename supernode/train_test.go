package supernode

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/transport"
)

// numbered returns a packet of n bytes that says which one it is.
func numbered(i, n int) []byte {
	packet := junk(n)
	packet[0] = byte(i)
	return packet
}

// numbers returns the numbers of packets.
func numbers(packets [][]byte) (list []int) {
	for _, p := range packets {
		list = append(list, int(p[0]))
	}
	return list
}

// sequence returns the numbers from first up to below end.
func sequence(first, end int) (list []int) {
	for i := first; i < end; i++ {
		list = append(list, i)
	}
	return list
}

func TestTrainLeavesAsTrain(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	for _, test := range []struct {
		name              string
		count, size, last int // of the packets inside
		want              []entry
	}{
		{"one", 1, 1400, 1400, []entry{{size: 1432}}},
		{"full", 64, 140, 140, []entry{{size: 64 * 172, seg: 172}}},
		{"last shorter", 30, 1400, 77, []entry{{size: 29*1432 + 109, seg: 1432}}},
		{"two, last shorter", 2, 1400, 32, []entry{{size: 1432 + 64, seg: 1432}}},
		{"over 64", 70, 140, 100, []entry{{size: 64 * 172, seg: 172}, {size: 5*172 + 132, seg: 172}}},
		{"up to 65507 bytes", 33, 1953, 1953, []entry{{size: 33 * 1985, seg: 1985}}},
		{"over 65507 bytes", 32, 2016, 2016, []entry{{size: 31 * 2048, seg: 2048}, {size: 2048}}},
	} {
		var train [][]byte
		var want [][]byte
		for i := range test.count {
			packet := numbered(i, test.size)
			if i == test.count-1 {
				packet = numbered(i, test.last)
			}
			want = append(want, packet)
			train = append(train, a.wrap(b.ack.Handle, 0, packet))
		}
		entries, got := r.deliverTrain(a.addr, train...)
		for i := range test.want {
			test.want[i].to = b.addr
		}
		if !slices.Equal(entries, test.want) {
			t.Errorf("%s: sent as %+v, want %+v", test.name, entries, test.want)
		}
		if _, inner := b.unwrap(got); !slices.EqualFunc(inner, want, bytes.Equal) {
			t.Errorf("%s: %d packets arrived as %v", test.name, test.count, numbers(inner))
		}
	}
}

// TestTrainsOfABatch checks that trains in different buffers stay apart and
// leave with one call.
func TestTrainsOfABatch(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	const size = 132
	for range 3 {
		d := transport.Datagram{Buf: make([]byte, 5*size), N: 5 * size, Addr: a.addr, Seg: size}
		a.fill(d.Buf, size, b.ack.Handle)
		r.s.handleTrain(r.now, r.out, &d)
	}
	if len(r.conn.entries) != 0 {
		t.Errorf("sent too early: %+v", r.conn.entries)
	}
	r.s.sockets.flush(r.out)
	want := entry{to: b.addr, size: 5 * size, seg: size}
	if !slices.Equal(r.conn.entries, []entry{want, want, want}) {
		t.Errorf("%+v", r.conn.entries)
	}
	if _, inner := b.unwrap(r.conn.drain()); len(inner) != 15 {
		t.Errorf("%d packets", len(inner))
	}
	counters := r.s.Counters()
	if counters.ReceivedTrains[3] != 3 || counters.SentTrains[3] != 3 || counters.Socket != nil {
		t.Errorf("%+v", counters)
	}
}

func TestInterleavedDestinations(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b, d := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join(), r.edge(c, "d", 3).join()
	to := func(name byte) *fakeEdge { return map[byte]*fakeEdge{'b': b, 'd': d}[name] }
	for _, order := range []string{"bdbdbdbd", "bbbdddbb", "bddddddd", "dddddddb"} {
		var train [][]byte
		want := map[byte][]int{}
		runs := 1
		for i := range len(order) {
			name := order[i]
			train = append(train, a.wrap(to(name).ack.Handle, 0, numbered(i, 500)))
			want[name] = append(want[name], i)
			if i > 0 && order[i-1] != name {
				runs++
			}
		}
		entries, got := r.deliverTrain(a.addr, train...)
		if len(entries) != runs {
			t.Errorf("%s: %+v", order, entries)
		}
		for _, name := range []byte("bd") {
			from, inner := to(name).unwrap(got)
			if !slices.Equal(numbers(inner), want[name]) {
				t.Errorf("%s: %c got %v", order, name, numbers(inner))
			}
			if slices.ContainsFunc(from, func(h uint32) bool { return h != a.ack.Handle }) {
				t.Errorf("%s: %c heard from %v", order, name, from)
			}
		}
	}
}

// TestBadPacketInATrain breaks one packet of a train in every way and sees that
// no other suffers.
func TestBadPacketInATrain(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	stranger := r.edge(testCommunity("other", "k"), "s", 3).join()
	const n, size = 20, 300
	replayed := a.wrap(b.ack.Handle, 0, numbered(99, size))
	r.deliver(a.addr, bytes.Clone(replayed))
	flip := func(at int) func() []byte {
		return func() []byte {
			pkt := a.wrap(b.ack.Handle, 0, numbered(99, size))
			pkt[at] ^= 1
			return pkt
		}
	}
	for _, test := range []struct {
		name   string
		make   func() []byte
		reason dropReason
	}{
		{"tag", flip(16), dropRelayTag},
		{"counter", flip(15), dropRelayTag},
		{"handle", flip(8), dropRelayTag},
		{"session", flip(7), dropUnknownSession},
		{"type", flip(0), dropUnexpected},
		{"replay", func() []byte { return replayed }, dropRelayTag},
		{"to itself", func() []byte { return a.wrap(a.ack.Handle, 0, numbered(99, size)) }, dropRelayTarget},
		{"to another community", func() []byte { return a.wrap(stranger.ack.Handle, 0, numbered(99, size)) }, dropRelayTarget},
		{"a flag", func() []byte { return a.wrap(b.ack.Handle, protocol.FlagFederated, numbered(99, size)) }, dropRelayTarget},
	} {
		for at, lens := range map[int][]int{0: {n - 1}, 7: {7, n - 8}, n - 1: {n - 1}} {
			var train [][]byte
			for i := range n {
				if i == at {
					train = append(train, test.make())
				} else {
					train = append(train, a.wrap(b.ack.Handle, 0, numbered(i, size)))
				}
			}
			var want []entry
			for _, n := range lens {
				want = append(want, entry{to: b.addr, size: n * len(train[0]), seg: len(train[0])})
			}
			before := r.dropped(test.reason)
			entries, got := r.deliverTrain(a.addr, train...)
			if !slices.Equal(entries, want) {
				t.Errorf("%s at %d: sent as %+v", test.name, at, entries)
			}
			_, inner := b.unwrap(got)
			if list := numbers(inner); !slices.Equal(list, append(sequence(0, at), sequence(at+1, n)...)) {
				t.Errorf("%s at %d: %v arrived", test.name, at, list)
			}
			if r.dropped(test.reason) != before+1 {
				t.Errorf("%s at %d: %v", test.name, at, r.s.refused.drops.nonzero())
			}
		}
	}
}

func TestReplayedTrain(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	var train [][]byte
	for i := range 64 {
		train = append(train, a.wrap(b.ack.Handle, 0, numbered(i, 500)))
	}
	if entries, _ := r.deliverTrain(a.addr, train...); len(entries) != 1 {
		t.Errorf("%+v", entries)
	}
	before := r.s.Status().Communities[0].Relayed
	if entries, _ := r.deliverTrain(a.addr, train...); len(entries) != 0 || r.dropped(dropRelayTag) != 64 {
		t.Errorf("%+v, drops %v", entries, r.s.refused.drops.nonzero())
	}
	if after := r.s.Status().Communities[0].Relayed; after != before {
		t.Errorf("counted %+v, was %+v", after, before)
	}
}

// TestTrainOfAnotherBoot checks that each packet of a dead session is counted,
// and that the answers are never more than the datagrams.
func TestTrainOfAnotherBoot(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	r = r.restart(cfg)
	var train [][]byte
	for i := range 20 {
		pkt := junk(90)
		protocol.Header{Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone,
			RX: e.session.RemoteIndex(), CTR: uint64(i)}.Put(pkt)
		train = append(train, e.hide(pkt))
	}
	_, got := r.deliverTrain(e.addr, train...)
	if len(got) != 20 || r.dropped(dropUnknownSession) != 20 {
		t.Errorf("%d answers, drops %v", len(got), r.s.refused.drops.nonzero())
	}
	for _, p := range got {
		if index, token := resetIndex(t, e, p); index != e.session.RemoteIndex() || token != e.ack.ResetToken {
			t.Error("wrong token")
		}
	}
}

// TestControlInsideATrain checks that what a control message changes holds for
// the packets behind it: nothing is remembered across it.
func TestControlInsideATrain(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	relayed := func(i int) []byte { return a.wrap(b.ack.Handle, 0, numbered(i, 100)) }
	bare := a.seal(&protocol.Ping{}, &protocol.Unregister{})
	leave := a.seal(&protocol.Ping{Pad: len(relayed(9)) - len(bare)}, &protocol.Unregister{})
	_, got := r.deliverTrain(a.addr, relayed(0), relayed(1), leave, relayed(2), relayed(3))
	_, inner := b.unwrap(got)
	if !slices.Equal(numbers(inner), []int{0, 1}) || r.dropped(dropUnknownSession) != 2 {
		t.Errorf("%v arrived, drops %v", numbers(inner), r.s.refused.drops.nonzero())
	}
}

func TestRelayBudgetsOfATrain(t *testing.T) {
	for name, limits := range map[string]Limits{"edge": {EdgeBytes: 1000}, "community": {CommunityBytes: 1000}} {
		r := newRig(t, Config{Limits: limits})
		c := testCommunity("c", "k")
		a := r.edge(c, "a", 1).join()
		b, d := r.edge(c, "b", 2).join(), r.edge(c, "d", 3).join()
		for round := range 2 {
			var train [][]byte
			for i := range 30 {
				to := b
				if i%4 == 3 {
					to = d
				}
				train = append(train, a.wrap(to.ack.Handle, 0, numbered(i, 100)))
			}
			before := r.dropped(dropRelayBudget)
			if _, got := r.deliverTrain(a.addr, train...); len(others(a, got)) != 10 || r.dropped(dropRelayBudget) != before+20 {
				t.Errorf("%s, round %d: %d went on, drops %v", name, round, len(got), r.s.refused.drops.nonzero())
			}
			r.now = r.now.Add(time.Second) // the buckets are full again
		}
	}
}

// TestTrainFromElsewhere checks that an edge that moved is asked to prove its
// address, and that its packets go on meanwhile.
func TestTrainFromElsewhere(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	r.now = r.now.Add(time.Minute)
	a.addr = address(77)
	var train [][]byte
	for i := range 10 {
		train = append(train, a.wrap(b.ack.Handle, 0, numbered(i, 200)))
	}
	entries, got := r.deliverTrain(a.addr, train...)
	if _, inner := b.unwrap(got); len(inner) != 10 {
		t.Errorf("%v arrived", numbers(inner))
	}
	if pings := a.open(got); len(pings) != 1 || pings[0].typ != protocol.MsgPing || len(entries) != 2 {
		t.Errorf("asked %d times, sent as %+v", len(pings), entries)
	}
}
