package supernode

import (
	"testing"
	"time"

	"hedgerow/protocol"
)

// throng is a community of greedy edges, and a sink that they send to.
type throng struct {
	edges []*fakeEdge
	sink  *fakeEdge
}

// throng makes a community of n edges and a sink, each of another network.
func (r *rig) throng(name string, n, first int) (c throng) {
	community := testCommunity(name, "k")
	c.sink = r.edge(community, "sink", first).join()
	for i := range n {
		c.edges = append(c.edges, r.edge(community, string(rune('a'+i)), first+1+i).join())
	}
	return c
}

// send has each edge send a packet to the sink, and returns how many are relayed.
func (c *throng) send(r *rig, size int) (relayed int) {
	for _, e := range c.edges {
		relayed += c.sink.heard(r.deliver(e.addr, e.wrap(c.sink.ack.Handle, 0, junk(size))))
	}
	return relayed
}

// heard returns how many relayed packets came to an edge.
func (e *fakeEdge) heard(all []sent) int {
	_, inner := e.unwrap(all)
	return len(inner)
}

// TestFullLine: of a line that is full each community has half, the one with five greedy
// edges and the one with a single one; what is dropped is counted and told. A ping of the
// single one, and what does not fill the line, is not dropped.
func TestFullLine(t *testing.T) {
	const rate = 1e6
	r := newRig(t, Config{Limits: Limits{LineBytes: rate}})
	many, one := r.throng("many", 5, 100), r.throng("one", 1, 200)
	var of [2]int
	pings := 0
	for tick := range 1500 { // 1.5 s, 8 MB in each second; what passes at once is not counted
		r.now = r.now.Add(time.Millisecond)
		a, b := many.send(r, 1400), one.send(r, 1400)
		if tick >= 500 {
			of[0], of[1] = of[0]+a, of[1]+b
		}
		if tick%100 == 0 {
			pings += one.sink.heard(r.deliver(one.edges[0].addr, one.edges[0].wrap(one.sink.ack.Handle, 0, junk(100))))
		}
	}
	const half = int(rate) / 2 / (1400 + lineCost)
	for i, n := range of {
		if n < half*9/10 || n > half*11/10 {
			t.Errorf("community %d: %d packets are relayed, half is %d", i, n, half)
		}
	}
	e := one.edges[0]
	told := r.edgesOf(e.community.ID())
	if n := r.dropped(dropRelayLine); pings != 15 || n < 5000 || r.dropped(dropRelayBudget)+r.dropped(dropRelayLoad) > 0 {
		t.Errorf("of 15 pings %d are relayed; %d packets are dropped", pings, n)
	}
	limited := 0
	for _, edge := range told {
		if edge.Limited != nil {
			if limited++; edge.Limited.Limit != "an equal part of the line" {
				t.Errorf("%+v", edge.Limited)
			}
		}
	}
	if limited != 1 {
		t.Errorf("%d edges of the single pair are limited", limited)
	}
	r.pass(time.Second, time.Second)
	before := r.dropped(dropRelayLine)
	if many.send(r, 1400) != 5 || one.send(r, 1400) != 1 || r.dropped(dropRelayLine) != before {
		t.Error("a line that is not full drops")
	}
}

// TestFloodsOnAFullLine: each copy of a flood counts.
func TestFloodsOnAFullLine(t *testing.T) {
	const rate, size, members = 1e6, 500, 50
	r := newRig(t, Config{Limits: Limits{LineBytes: rate}})
	many, one := r.throng("many", members, 100), r.throng("one", 1, 200)
	copies, other := 0, 0
	for tick := range 3000 {
		r.now = r.now.Add(time.Millisecond)
		e := many.edges[tick%2]
		n := len(r.deliver(e.addr, e.wrap(protocol.HandleAll, 0, junk(size))))
		m := one.send(r, size) + one.send(r, size)
		if tick >= 1000 {
			copies, other = copies+n, other+m
		}
	}
	const half = int(rate) / (size + lineCost)
	if copies < half*8/10 || copies > half*12/10 || other < half*9/10 || other > half*11/10 {
		t.Errorf("%d copies and %d packets of another community are relayed, half is %d", copies, other, half)
	}
}

// fill has the loop find that it does not keep up, and that it can do so many packets of
// 1000 bytes a second.
func (r *rig) fill(rate float64) {
	loop := &r.s.relayer.crowded.loop
	for !loop.Full() {
		r.now = r.now.Add(time.Millisecond)
		loop.Batch(r.now, false)
	}
	for range 6 {
		loop.Force(r.now, rate*(loopCost+1000)/1000)
		r.now = r.now.Add(time.Millisecond)
		loop.Batch(r.now, false)
	}
}

// TestFullLoop: where the processor is full, packets above the part of an edge are dropped
// before they are authenticated, and those of one who sends little are not.
func TestFullLoop(t *testing.T) {
	r := newRig(t, Config{})
	many, one := r.throng("many", 10, 100), r.throng("one", 1, 200)
	r.fill(1000)
	relayed, lone := 0, 0
	for tick := range 100 {
		for range 10 {
			relayed += many.send(r, 1000)
		}
		if tick%10 == 0 {
			lone += one.send(r, 1000)
		}
		r.now = r.now.Add(time.Millisecond)
		r.s.relayer.crowded.loop.Batch(r.now, true)
	}
	if lone != 10 || relayed < 80 || relayed > 250 || r.dropped(dropRelayLoad) != uint64(10000-relayed) {
		t.Errorf("of 10000 packets %d are relayed, of 10 of the other community %d; %d are dropped", relayed, lone, r.dropped(dropRelayLoad))
	}
	// What is dropped was not looked at: the same packet is taken later.
	e, sink := many.edges[0], many.sink
	var pkt []byte
	for pkt == nil {
		next := e.wrap(sink.ack.Handle, 0, junk(1000))
		if n := r.dropped(dropRelayLoad); sink.heard(r.deliver(e.addr, append([]byte(nil), next...))) == 0 && r.dropped(dropRelayLoad) == n+1 {
			pkt = next
		}
	}
	for r.s.relayer.crowded.loop.Full() {
		r.now = r.now.Add(time.Millisecond)
		r.s.relayer.crowded.loop.Batch(r.now, true)
	}
	if sink.heard(r.deliver(e.addr, pkt)) != 1 {
		t.Error("a packet that was dropped is not taken any more")
	}
}

// TestForgedPacketsOfAnEdge: whoever forges packets of an edge, without its address, takes
// nothing of its part.
func TestForgedPacketsOfAnEdge(t *testing.T) {
	r := newRig(t, Config{})
	one := r.throng("one", 1, 200)
	e := one.edges[0]
	r.fill(10000)
	for range 1000 {
		forged := e.wrap(one.sink.ack.Handle, 0, junk(1000))
		forged[protocol.HeaderLen+4] ^= 1
		if len(r.deliver(r.edge(testCommunity("c", "k"), "x", 300).addr, forged)) != 0 {
			t.Fatal("a forged packet is relayed")
		}
	}
	if one.send(r, 1000) != 1 || r.dropped(dropRelayLoad) != 0 || r.dropped(dropRelayTag) != 1000 {
		t.Errorf("dropped: %v", r.s.refused.drops.nonzero())
	}
}
