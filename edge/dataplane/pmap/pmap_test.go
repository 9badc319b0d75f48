package pmap

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// hashes are how keys may fall: as they do, all onto one list, and so that whole
// runs of levels are the same.
var hashes = map[string]func(uint32) uint64{
	"seeded":       nil,
	"all the same": func(uint32) uint64 { return 0x0123456789abcdef },
	"few":          func(k uint32) uint64 { return uint64(k % 7) },
	"high bits":    func(k uint32) uint64 { return uint64(k%5) << 61 },
}

// same fails unless a map and a plain one have the same entries.
func same(t *testing.T, what string, m Map[uint32, int], want map[uint32]int) {
	t.Helper()
	got := maps.Collect(m.All())
	if m.Len() != len(want) || !maps.Equal(got, want) {
		t.Fatalf("%s: %d entries %v, want %v", what, m.Len(), got, want)
	}
	for k, v := range want {
		if got, ok := m.Find(k); !ok || got != v || m.Get(k) != v {
			t.Fatalf("%s: %d is %d %v, want %d", what, k, got, ok, v)
		}
	}
}

// A random sequence of changes makes what it makes of a plain map, and no map
// that was there before changes.
func TestAsPlainMap(t *testing.T) {
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			type snapshot struct {
				m    Map[uint32, int]
				want map[uint32]int
			}
			var kept []snapshot
			random := rand.New(rand.NewPCG(1, 2))
			m, want := Map[uint32, int]{hash: hash}, map[uint32]int{}
			for i := range 5000 {
				key := random.Uint32N(300)
				if random.IntN(5) < 2+i/1000%2 {
					m = m.Without(key)
					delete(want, key)
				} else {
					m = m.With(key, i)
					want[key] = i
				}
				if i%250 == 0 {
					kept = append(kept, snapshot{m, maps.Clone(want)})
				}
				if _, ok := m.Find(1000 + key); ok {
					t.Fatal("a key is there that nobody set")
				}
			}
			same(t, "the last", m, want)
			for i, s := range kept {
				same(t, fmt.Sprint("snapshot ", i), s.m, s.want)
			}
			for key := range want {
				m = m.Without(key)
			}
			if same(t, "emptied", m, nil); m.root != nil {
				t.Errorf("an empty map has %+v", m.root)
			}
		})
	}
}

// A map that shrank is as deep as one that never was larger.
func TestShrinks(t *testing.T) {
	depth := func(m Map[uint32, int]) (deepest int) {
		var walk func(n *node[uint32, int], at int)
		walk = func(n *node[uint32, int], at int) {
			deepest = max(deepest, at)
			for _, below := range n.nodes {
				walk(below, at+1)
			}
		}
		walk(m.root, 1)
		return deepest
	}
	small := Map[uint32, int]{}.With(0, 0).With(1, 1).With(2, 2)
	large := small
	for k := range uint32(5000) {
		large = large.With(k, int(k))
	}
	// A level is 6 bits of a hash: two of 5000 agree in 48 once in 20 million runs.
	if d := depth(large); d > 8 {
		t.Errorf("%d levels for 5000 entries", d)
	}
	for k := range uint32(4997) {
		large = large.Without(k + 3)
	}
	same(t, "shrunk", large, map[uint32]int{0: 0, 1: 1, 2: 2})
	if got, want := depth(large), depth(small); got != want {
		t.Errorf("%d levels, want %d", got, want)
	}
}

// The walk ends when its caller wants no more.
func TestAllStops(t *testing.T) {
	m := Map[uint32, int]{}
	for k := range uint32(1000) {
		m = m.With(k, 0)
	}
	for want := range 200 {
		got := 0
		for range m.All() {
			if got++; got > want {
				break
			}
		}
		if got != want+1 {
			t.Fatalf("%d steps, want %d", got, want+1)
		}
	}
}

// Two families of maps have different seeds.
func TestSeeds(t *testing.T) {
	a, b := Map[uint32, int]{}.With(1, 1), Map[uint32, int]{}.With(1, 1)
	equal := 0
	for k := range uint32(8) {
		if a.hash(k) == b.hash(k) {
			equal++
		}
	}
	if equal == 8 {
		t.Error("the hash can be known beforehand")
	}
}

func TestNoAllocations(t *testing.T) {
	var m Map[[32]byte, *int]
	keys := make([][32]byte, 500)
	for i := range keys {
		binary.BigEndian.PutUint32(keys[i][:], uint32(i))
		m = m.With(keys[i], &i)
	}
	found := 0
	if n := testing.AllocsPerRun(100, func() {
		for _, k := range keys {
			if m.Get(k) != nil {
				found++
			}
		}
		for range m.All() {
			found++
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if found != 101*1000 {
		t.Errorf("found %d", found)
	}
}

// sizes are of a home, of an office, and of the largest community that is
// simulated.
var sizes = []int{10, 300, 2000}

// BenchmarkGet looks up one of the keys after the other, of sessions, hardware
// addresses and static keys, here and in a plain map.
func BenchmarkGet(b *testing.B) {
	benchmarkGet(b, "uint32", func(n uint32) uint32 { return n * 0x9e3779b1 })
	benchmarkGet(b, "MAC", func(n uint32) (k [6]byte) {
		binary.BigEndian.PutUint32(k[2:], n)
		return k
	})
	benchmarkGet(b, "key", func(n uint32) (k [32]byte) {
		for i := range k {
			k[i] = byte(n >> (i % 4 * 8))
		}
		return k
	})
}

func benchmarkGet[K comparable](b *testing.B, name string, key func(uint32) K) {
	for _, size := range sizes {
		var m Map[K, *int]
		plain := make(map[K]*int, size)
		keys := make([]K, size)
		for i := range keys {
			keys[i] = key(uint32(i))
			m, plain[keys[i]] = m.With(keys[i], &i), &i
		}
		run := func(b *testing.B, get func(K) *int) {
			i := 0
			for b.Loop() {
				if get(keys[i]) == nil {
					b.Fatal("not found")
				}
				if i++; i == size {
					i = 0
				}
			}
		}
		b.Run(fmt.Sprintf("%s/%d/pmap", name, size), func(b *testing.B) { run(b, m.Get) })
		b.Run(fmt.Sprintf("%s/%d/plain", name, size), func(b *testing.B) {
			run(b, func(k K) *int { return plain[k] })
		})
	}
}

// BenchmarkChange is one entry that comes and one that goes, against two copies
// of a plain map.
func BenchmarkChange(b *testing.B) {
	for _, size := range sizes {
		var m Map[uint32, *int]
		plain := make(map[uint32]*int, size)
		for i := range size {
			m, plain[uint32(i)] = m.With(uint32(i), &i), &i
		}
		b.Run(fmt.Sprintf("%d/pmap", size), func(b *testing.B) {
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				_ = m.With(1<<20+i, nil).Without(i % uint32(size))
			}
		})
		b.Run(fmt.Sprintf("%d/plain", size), func(b *testing.B) {
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				next := maps.Clone(plain)
				next[1<<20+i] = nil
				next = maps.Clone(next)
				delete(next, i%uint32(size))
			}
		})
	}
}
