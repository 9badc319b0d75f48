package network

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
)

// check tests what always holds of a crowd.
func (c *Crowd[T]) check(t *testing.T) {
	t.Helper()
	nodes := 0
	var visit func(n *node[T]) int
	visit = func(n *node[T]) int {
		sum, silent := 0, 0
		for i, q := range []queue[T]{n.confirmed, n.unconfirmed} {
			for p := q.first; p != nil; p = p.next {
				sum++
				silent += i
			}
		}
		for i, inner := range n.inner {
			if inner.at != i || inner.parent != n || c.nodes[inner.key] != inner {
				t.Fatalf("%v is misplaced", inner.key)
			}
			if i > 0 && inner.yieldsBefore(n.inner[(i-1)/2]) {
				t.Fatal("no heap")
			}
			nodes++
			sum += visit(inner)
			silent += inner.silent
		}
		if silent != n.silent || sum != n.count || n != &c.all && sum == 0 {
			t.Fatalf("%v counts %d, has %d", n.key, n.count, sum)
		}
		return sum
	}
	visit(&c.all)
	if nodes != len(c.nodes) {
		t.Fatalf("%d networks, %d known", nodes, len(c.nodes))
	}
}

// TestCrowd does what it likes with a bounded crowd.
func TestCrowd(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := NewCrowd[int]()
	places := map[int]*Place[int]{}
	remove := func(p *Place[int]) {
		c.Remove(p)
		c.Remove(p) // once more does nothing
		delete(places, p.Value)
	}
	for i := range 20_000 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 5: byte(random.IntN(3)), 6: byte(random.IntN(3)), 7: byte(random.IntN(3)), 15: 1})
		if random.IntN(2) == 0 {
			a = netip.AddrFrom4([4]byte{192, 0, byte(random.IntN(3)), byte(random.IntN(5))})
		}
		places[i] = c.Add(a, i)
		for _, p := range places {
			if random.IntN(30) == 0 {
				remove(p)
			} else if random.IntN(3) == 0 {
				c.Confirm(p)
			}
			break
		}
		for c.Len() > 100 {
			remove(c.Yielding())
		}
		if i%50 == 0 {
			c.check(t)
		}
		if c.Len() != len(places) {
			t.Fatalf("%d, want %d", c.Len(), len(places))
		}
	}
	for c.Len() > 0 {
		remove(c.Yielding())
	}
	c.check(t)
	if c.Yielding() != nil || len(places) != 0 {
		t.Error("not empty")
	}
}

// TestCrowdedNetworksYield has one network flood a bounded crowd: none of the others
// loses a place, and within it none of the sites that ask for little.
func TestCrowdedNetworksYield(t *testing.T) {
	for name, flood := range map[string]func(i int) netip.Addr{
		"one address": func(int) netip.Addr { return netip.MustParseAddr("198.51.100.7") },
		"one /24":     func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i%255)}) },
		"one /64": func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 7: 7, 14: byte(i >> 8), 15: byte(i)})
		},
		"one /56": func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 7: byte(1 + i%255)}) },
		"one /48": func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 6: byte(i >> 8), 7: byte(i)}) },
	} {
		t.Run(name, func(t *testing.T) {
			const most = 200
			c := NewCrowd[string]()
			honest := map[string]bool{}
			add := func(name string, a netip.Addr) {
				honest[name] = true
				c.Add(a, name)
			}
			for i := range 20 {
				add(fmt.Sprint("IPv4 ", i), netip.AddrFrom4([4]byte{203, 0, byte(i), 1}))
				add(fmt.Sprint("IPv6 ", i), netip.AddrFrom16([16]byte{0x20, 2, 5: byte(i)}))
			}
			for i := range 100_000 {
				c.Add(flood(i), "flood")
				for c.Len() > most {
					p := c.Yielding()
					if honest[p.Value] {
						t.Fatalf("%s yields to the flood's %d", p.Value, i)
					}
					c.Remove(p)
				}
			}
		})
	}
}

// TestNeighboursOfAFlood: beside a flood of one address its /24 has room, and so have
// a /56 and a /64 beside those of a flood.
func TestNeighboursOfAFlood(t *testing.T) {
	for flood, beside := range map[string]string{
		"198.51.100.7": "198.51.100.8", "2001:db8::": "2001:db8:0:1::", "2001:db8:0:100::": "2001:db8:0:200::",
	} {
		c := NewCrowd[bool]()
		c.Add(netip.MustParseAddr(beside), true)
		for range 1000 {
			c.Add(netip.MustParseAddr(flood), false)
			for c.Len() > 10 {
				p := c.Yielding()
				if p.Value {
					t.Fatalf("%s yields to %s", beside, flood)
				}
				c.Remove(p)
			}
		}
	}
}

// TestOldestUnconfirmedYields is the order within one network.
func TestOldestUnconfirmedYields(t *testing.T) {
	c := NewCrowd[int]()
	var places []*Place[int]
	for i := range 6 {
		places = append(places, c.Add(netip.MustParseAddr("192.0.2.1"), i))
	}
	for _, i := range []int{4, 0, 4} { // the second time changes nothing
		c.Confirm(places[i])
	}
	for _, want := range []int{1, 2, 3, 5, 4, 0} {
		p := c.Yielding()
		if p.Value != want {
			t.Errorf("%d yields, want %d", p.Value, want)
		}
		c.Remove(p)
	}
	c.Confirm(places[0]) // gone
	if c.Len() != 0 {
		t.Error(c.Len())
	}
}

// TestCrowdMemory fills a crowd from as many networks as it has places for.
func TestCrowdMemory(t *testing.T) {
	const n = 16384
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := NewCrowd[*int]()
	for i := range n {
		c.Add(netip.AddrFrom16([16]byte{0x20, 1, 2: byte(i >> 8), 3: byte(i)}), nil)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int64(after.HeapAlloc-before.HeapAlloc) / n; each > 1000 {
		t.Errorf("%d bytes each", each)
	}
	runtime.KeepAlive(c)
}

func BenchmarkCrowd(b *testing.B) {
	c, i := NewCrowd[int](), 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		c.Add(netip.AddrFrom16([16]byte{0x20, 1, 2: byte(i >> 16), 3: byte(i >> 8), 4: byte(i)}), i)
		if c.Len() > 16384 {
			c.Remove(c.Yielding())
		}
	}
}
