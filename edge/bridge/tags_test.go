package bridge

import (
	"errors"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
)

// TestTags: probes go into the VLANs that hosts use; where there are many they take turns,
// but for those in which another bridge was heard; what nobody uses is forgotten.
func TestTags(t *testing.T) {
	var tags Tags
	const tick = int64(500 * time.Millisecond)
	now := tick
	c := func(v uint16) Tag { return Tag{protocol.EtherTypeVLAN, v} }
	tags.Note(c(10))
	tags.Note(Tag{protocol.EtherTypeQinQ, 10})
	if got := tags.Next(now); !slices.Equal(got, []Tag{c(10), {protocol.EtherTypeQinQ, 10}}) {
		t.Errorf("%v", got)
	}
	for v := range uint16(100) {
		tags.Note(c(v + 1))
	}
	for v := range uint16(6) {
		tags.Met(now, c(4000+v))
	}
	turns := map[Tag]int{}
	for range 16 {
		list := tags.Next(now)
		if len(list) != maxTagged {
			t.Fatalf("%d probes", len(list))
		}
		for _, tag := range list {
			turns[tag]++
		}
		now += tick
	}
	for v := range uint16(100) {
		if n := turns[c(v+1)]; n < 1 || n > 3 {
			t.Errorf("VLAN %d had its turn %d times", v+1, n)
		}
	}
	for v := range uint16(6) {
		if n := turns[c(4000+v)]; n != 16 && v < maxMeeting || n != 0 && v >= maxMeeting {
			t.Errorf("VLAN %d, where another one was heard: %d times", 4000+v, n)
		}
	}
	now += meetingAge
	if list := tags.Next(now); slices.Contains(list, c(4000)) {
		t.Error("a bridge that is gone keeps a VLAN")
	}
	tags.Next(now + tagAge)
	if list := tags.Next(now + 2*tagAge); len(list) != 0 {
		t.Errorf("after five minutes %v", list)
	}
	if n := testing.AllocsPerRun(100, func() { tags.Note(c(10)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTagOf reads tags, and not those that say no more than a priority.
func TestTagOf(t *testing.T) {
	plain := frame(protocol.Broadcast, hostKey(1).MAC, 0x0800, make([]byte, 46))
	with := func(typ, tci uint16) protocol.Frame { return protocol.AppendTagged(nil, plain, typ, tci) }
	for _, c := range []struct {
		f    protocol.Frame
		want Tag
	}{
		{plain, Tag{}}, {with(0x8100, 10), Tag{0x8100, 10}}, {with(0x88a8, 4094), Tag{0x88a8, 4094}},
		{with(0x8100, 0xe00a), Tag{0x8100, 10}}, {with(0x8100, 0xe000), Tag{}}, {with(0x8100, 4095), Tag{}},
	} {
		if got, ok := TagOf(c.f); got != c.want || ok != (got != Tag{}) {
			t.Errorf("%x: %v", c.f[12:18], got)
		}
	}
}

// TestTaggedProbe: a probe counts once, whatever tags it comes with, and the gate says
// where another bridge is heard in a VLAN alone.
func TestTaggedProbe(t *testing.T) {
	c := community(1)
	s, key := prober(c, 2)
	g, id := gateOf(c), [32]byte(s.Identity.ID)
	now := int64(1)
	hear := func(f protocol.Frame, want error) {
		t.Helper()
		if err := g.Hear(now, f); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		} else if err == nil {
			p, err := protocol.ParseProbe(f)
			if err != nil || !g.Verified(&p) {
				t.Errorf("%+v, %v", p, err)
			}
		}
	}
	next := func(copies ...uint16) {
		f := s.probe(key)
		for i, vlan := range copies {
			g, want := f, error(nil)
			if i > 0 {
				want = ErrProbeCopy
			}
			if vlan != 0 {
				g = protocol.AppendTagged(nil, f, protocol.EtherTypeVLAN, vlan)
			}
			hear(g, want)
		}
		now += int64(ProbeEvery)
	}
	meets := func(want uint16) {
		t.Helper()
		if vlan, alone := g.Meets(now, id); vlan != want || alone != (want != 0) {
			t.Errorf("they meet in VLAN %d, %v; want %d", vlan, alone, want)
		}
	}
	next(10)
	meets(0) // it was not known yet
	next(10, 20)
	meets(20)
	next(0, 10)
	meets(0)
	next(10, 0)
	meets(0)
	now += 5 * int64(silentAfter)
	meets(0)
	next(10)
	meets(10)
}
