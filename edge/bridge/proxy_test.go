package bridge

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"hedgerow/protocol"
)

// address4 is the n-th of many addresses.
func address4(n int) Address {
	return Address{IP: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
}

// found fails unless a proxy makes that of a question, and knows the owner if there is
// one.
func found(t *testing.T, x *Proxy[*testEdge], now int64, a Address, want Finding, owner Owner[*testEdge]) {
	t.Helper()
	got, f := x.Find(now, a)
	if f != want || f != AskAll && got != owner {
		t.Errorf("at %v: finding %d of %+v, want %d of %+v", time.Duration(now), f, got, want, owner)
	}
}

// TestProxy follows one address through all that can become of it.
func TestProxy(t *testing.T) {
	x, e, other := NewProxy[*testEdge](small), new(testEdge), new(testEdge)
	a, sec := address4(1), int64(time.Second)
	owner := Owner[*testEdge]{MAC: host(1), Edge: e}
	found(t, x, 0, a, AskAll, owner)
	x.Heard(0, a, host(1), 0, e)
	found(t, x, 0, a, Tell, owner)
	found(t, x, 0, Address{VLAN: 7, IP: a.IP}, AskAll, owner)
	found(t, x, confirmedFor, a, Tell, owner)
	found(t, x, confirmedFor+1, a, AskOwner, owner)
	found(t, x, resolvedAge, a, AskOwner, owner)
	found(t, x, resolvedAge+1, a, AskAll, owner)

	now := 60 * sec // its owner is asked, and answers
	x.Asked(now, a)
	x.Asked(now+sec/2, a) // counts from the first on
	found(t, x, now+ownerTime, a, AskOwner, owner)
	x.Heard(now+ownerTime, a, host(1), 0, e)
	found(t, x, now+ownerTime+1, a, Tell, owner)
	now += 10 * sec // and does not
	x.Asked(now, a)
	found(t, x, now+ownerTime+1, a, AskAll, owner)
	if n, most := x.Len(); n != 0 || most != small.All || x.Counters().Silent != 1 {
		t.Errorf("%d of %d, %+v", n, most, x.Counters())
	}

	x.Heard(now, a, host(1), 0, e) // another one has it, too
	x.Heard(now+sec, a, host(2), 0, other)
	for _, after := range []int64{0, contestedFor - 1} {
		found(t, x, now+sec+after, a, AskAll, owner)
	}
	x.Heard(now+contestedFor, a, host(2), 0, other)
	found(t, x, now+sec+contestedFor, a, Tell, Owner[*testEdge]{MAC: host(2), Edge: other})
	here := Owner[*testEdge]{MAC: host(2)}
	x.Heard(now+2*contestedFor, a, host(2), 0, nil) // it comes to our own side
	for _, c := range []struct {                    // which hears the questions, but perhaps is not answered
		after int64
		want  Finding
	}{{0, AskNobody}, {ownerTime, AskNobody}, {sec, AskAll}, {sec + ownerTime, AskNobody}, {2 * sec, AskAll}, {6 * sec, AskNobody}} {
		found(t, x, now+2*contestedFor+c.after, a, c.want, here)
	}
	if x.Counters().Contested != 1 {
		t.Errorf("%+v", x.Counters())
	}
}

// TestProxyFlags: of a neighbour the flags have to be known, and what does not speak of
// them does not change them.
func TestProxyFlags(t *testing.T) {
	x, e := NewProxy[*testEdge](small), new(testEdge)
	a := Address{IP: netip.MustParseAddr("fe80::7")}
	x.Heard(1, a, host(1), 0, e)
	found(t, x, 1, a, AskOwner, Owner[*testEdge]{MAC: host(1), Edge: e})
	for _, flags := range []Flags{FlagTold | FlagRouter, FlagTold | FlagOverride} {
		want := Owner[*testEdge]{MAC: host(1), Flags: flags, Edge: e}
		x.Heard(2, a, host(1), flags, e)
		found(t, x, 2, a, Tell, want)
		x.Heard(3*int64(time.Second), a, host(1), 0, e)
		found(t, x, 2+confirmedFor+1, a, Tell, want)
	}
}

// TestProxyBounds: an edge uses up its own share and nobody else's, all of them no more
// than there is, and what goes makes room.
func TestProxyBounds(t *testing.T) {
	x := NewProxy[*testEdge](small)
	edges := make([]*testEdge, small.All/small.Behind+1)
	for i := range edges {
		edges[i] = new(testEdge)
	}
	fill := func(from, e int) {
		for n := range 2 * small.Behind {
			x.Heard(1, address4(from+n), host(from+n), 0, edges[e])
		}
	}
	fill(0, 0)
	if n, _ := x.Len(); n != small.Behind {
		t.Fatalf("%d behind one edge, %d can be", n, small.Behind)
	}
	x.Heard(1, address4(5000), host(5000), 0, edges[1])
	found(t, x, 1, address4(5000), Tell, Owner[*testEdge]{MAC: host(5000), Edge: edges[1]})
	for e := range edges {
		fill(10_000*e, e)
	}
	for n := range 2 * small.Behind { // ours have a share that is beside the others'
		x.Heard(1, address4(900_000+n), host(n), 0, nil)
	}
	if n, _ := x.Len(); n != small.All || len(x.entries) != small.All+small.Behind || x.Counters().Refused == 0 {
		t.Fatalf("%d of %d, %d in all", n, small.All, len(x.entries))
	}
	x.Heard(2, address4(5000), host(5000), 0, edges[0]) // to an edge that is full
	found(t, x, 2, address4(5000), AskAll, Owner[*testEdge]{})
	x.Flush(edges[0])
	edges[1].gone = true
	found(t, x, 2, address4(10_000), AskAll, Owner[*testEdge]{})
	x.Sweep(2)
	x.FlushBut(nil)
	if n, _ := x.Len(); n != 0 || len(x.entries) != small.Behind || len(x.behind) != 1 {
		t.Errorf("%d are left, %d of %d edges", n, len(x.entries), len(x.behind))
	}
	x.Sweep(resolvedAge + 2)
	if len(x.entries)+len(x.behind) != 0 {
		t.Errorf("%d entries of %d edges", len(x.entries), len(x.behind))
	}
}

// TestProxyConcurrent is for the race detector, and counts what is there.
func TestProxyConcurrent(t *testing.T) {
	x, edges := NewProxy[*testEdge](small), []*testEdge{nil, {}, {}}
	var working sync.WaitGroup
	for q := range 3 {
		working.Go(func() {
			for n := range 2000 {
				now, a := int64(n)*int64(20*time.Millisecond), address4(n%40)
				x.Heard(now, a, host(n%50), Flags(n%3), edges[(n+q)%3])
				x.Find(now, a)
				x.Asked(now, a)
				x.CountAnswered()
				if n%100 == 0 {
					x.Sweep(now)
					x.Flush(edges[q])
				}
			}
		})
	}
	working.Wait()
	total := 0
	for _, n := range x.behind {
		total += n
	}
	if total != len(x.entries) || x.Counters().Answered != 6000 {
		t.Errorf("%d are counted, %d are there", total, len(x.entries))
	}
}

func TestProxyAllocations(t *testing.T) {
	x, e, now := NewProxy[*testEdge](small), new(testEdge), int64(0)
	question := parsed(t, asks6(mine6, his6, sourceOption(optSource, mine)...))
	answer := make([]byte, AnswerLen)
	x.Heard(0, Address{IP: his6}, his, FlagTold, e)
	if n := testing.AllocsPerRun(100, func() {
		now += 2 * refreshEvery
		x.Heard(now, Address{IP: his6}, his, FlagTold, e)
		r := question.Resolution()
		o, f := x.Find(now, Address{IP: r.Asks})
		if f != Tell || protocol.MAC(question.AppendAnswer(answer[:0], &r, o.MAC, o.Flags)[6:]) != his {
			t.Fatal(f)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
