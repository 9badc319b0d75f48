package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

var intruderAddr = netip.MustParseAddr("192.0.2.66")

// Ten thousand recorded datagrams come a second time, from where they came from
// first or from elsewhere: nothing is delivered twice, and nothing suffers.
func TestReplay(t *testing.T) {
	for name, b := range map[string]nattest.Behavior{"direct": nattest.FullCone, "relayed": nattest.Symmetric} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t, b, b)
				all := c.Flow(c.left, protocol.Broadcast, &c.sinks[1])
				tape := c.Record(10_000)
				for len(tape.Take()) < 10_000 {
					c.both(50*time.Millisecond, 10*time.Millisecond)
					all.Send()
				}
				time.Sleep(time.Second)
				n, dropped := c.there.Len(), c.dropped(t)
				for i, d := range tape.Take() {
					c.Net.Inject(d.From, d.To, d.Bytes)
					if i%2 == 1 {
						c.Net.Inject(netip.AddrPortFrom(intruderAddr, 4444), d.To, d.Bytes)
					}
					if i%20 == 19 {
						c.both(10*time.Millisecond, 10*time.Millisecond)
						all.Send()
					}
				}
				time.Sleep(time.Second)
				c.whole(t, n)
				if got := c.dropped(t) - dropped; got < 9_000 {
					t.Errorf("only %d datagrams were dropped", got)
				}
				if twice := all.Twice(); len(twice) > 0 {
					t.Errorf("broadcasts delivered twice: %s", brief(twice))
				}
				if lost := all.Lost(100, all.Len()); len(lost) > 0 {
					t.Errorf("broadcasts lost: %s", brief(lost))
				}
				// All of it again after the supernode restarted, and an hour later.
				c.sn.Kill()
				c.sn.Start()
				time.Sleep(time.Second)
				c.inject(tape.Take())
				c.whole(t, n)
				time.Sleep(time.Hour)
				c.inject(tape.Take())
				c.whole(t, n)
				if twice := all.Twice(); len(twice) > 0 {
					t.Errorf("broadcasts delivered twice later: %s", brief(twice))
				}
				c.both(5*time.Second, 50*time.Millisecond)
				time.Sleep(time.Second)
				c.whole(t, n)
				c.end()
			})
		})
	}
}

// A broadcast that was recorded long ago comes again while its sender talks on:
// its salt is over, and talking does not vouch for it again. The same for a
// receiver that has been started anew and remembers nothing.
func TestOldBroadcasts(t *testing.T) {
	t.Parallel()
	for _, tt := range some(
		oldBroadcasts{"relayed", nattest.Symmetric, true}, oldBroadcasts{"relayed", nattest.Symmetric, false},
		oldBroadcasts{"direct", nattest.FullCone, true}, oldBroadcasts{"direct", nattest.FullCone, false},
	) {
		t.Run(fmt.Sprint(tt.name, " anew ", tt.anew), func(t *testing.T) { synctest.Test(t, tt.run) })
	}
}

// oldBroadcasts is how broadcasts travel before they come again, and whether their
// receiver is started anew meanwhile.
type oldBroadcasts struct {
	name  string
	where nattest.Behavior
	anew  bool
}

func (o oldBroadcasts) run(t *testing.T) {
	c := newCouple(t, o.where, o.where)
	all := c.Flow(c.left, protocol.Broadcast, &c.sinks[1])
	c.both(5*time.Second, 50*time.Millisecond)
	tape := c.Record(10_000)
	for range 50 {
		all.Send()
		c.both(100*time.Millisecond, 50*time.Millisecond)
	}
	c.Net.Tap(nil)
	c.both(time.Hour, 5*time.Second)
	if o.anew {
		c.right.Kill()
		c.right.Start()
		c.both(5*time.Second, 50*time.Millisecond)
	}
	for _, d := range tape.Take() {
		c.Net.Inject(d.From, d.To, d.Bytes)
		c.both(100*time.Millisecond, 50*time.Millisecond)
	}
	c.both(10*time.Second, 50*time.Millisecond)
	for _, f := range []*Flow{all, c.there, c.back} {
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("delivered twice: %s", brief(twice))
		}
	}
	c.end()
}

// inject puts recorded datagrams on the wire again.
func (c *couple) inject(list []Recorded) {
	for i, d := range list {
		c.Net.Inject(d.From, d.To, d.Bytes)
		if i%20 == 19 {
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(time.Second)
}

// A packet with any one bit turned is not delivered, on any part of its way; its
// twin that was held back as long is, as it was.
func TestBitFlips(t *testing.T) {
	for name, b := range bothPaths {
		for _, group := range []bool{false, true} {
			for _, last := range []bool{false, true} {
				if last && name == "direct" {
					continue // there is no second hop
				}
				t.Run(fmt.Sprint(name, " group ", group, " last hop ", last), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { bitFlips(t, b, group, last) })
				})
			}
		}
	}
}

func bitFlips(t *testing.T, b nattest.Behavior, group, last bool) {
	c := newCouple(t, b, b)
	defer c.end()
	time.Sleep(time.Second)
	c.both(10*time.Second, 100*time.Millisecond)
	flow := c.there
	if group {
		flow = c.Flow(c.left, protocol.Broadcast, &c.sinks[1])
	}
	hold := func() []Recorded {
		tape := c.Hold(100, func(from, _ netip.AddrPort) bool {
			return last == (from == c.sn.Addr)
		})
		flow.Send()
		time.Sleep(20 * time.Millisecond)
		c.Net.SetDrop(nil)
		return tape.Take()
	}
	n := flow.Len()
	held, twin := hold(), hold()
	if len(held) == 0 || len(twin) == 0 {
		t.Fatal("nothing was held")
	}
	for _, d := range held {
		for bit := range 8 * len(d.Bytes) {
			d.Bytes[bit/8] ^= 1 << (bit % 8)
			c.Net.Inject(d.From, d.To, d.Bytes)
			d.Bytes[bit/8] ^= 1 << (bit % 8)
			if bit%100 == 99 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	time.Sleep(100 * time.Millisecond)
	if lost := flow.Lost(n, n+2); len(lost) != 2 {
		t.Errorf("a packet with a turned bit was delivered")
	}
	for _, d := range twin {
		c.Net.Inject(d.From, d.To, d.Bytes)
	}
	time.Sleep(100 * time.Millisecond)
	if lost := flow.Lost(n+1, n+2); len(lost) != 0 {
		t.Errorf("a packet as it was is not delivered")
	}
	if twice := flow.Twice(); len(twice) > 0 {
		t.Errorf("delivered twice: %s", brief(twice))
	}
}

// logCount counts log lines and where the last one came from.
type logCount struct{ lines atomic.Int64 }

// Enabled, Handle, WithAttrs and WithGroup make it a slog.Handler.
func (*logCount) Enabled(context.Context, slog.Level) bool { return true }

// Handle counts a line.
func (l *logCount) Handle(context.Context, slog.Record) error { l.lines.Add(1); return nil }

// WithAttrs returns the same counter.
func (l *logCount) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup returns the same counter.
func (l *logCount) WithGroup(string) slog.Handler { return l }

// junk makes datagrams of every kind of wrongness: random ones, recorded ones
// that were damaged, and such as were damaged under the mask, as somebody may
// who knows the mask keys.
type junk struct {
	random *rand.Rand
	tape   []Recorded
	masks  []*crypto.Mask
	sc     *crypto.Scratch
	buf    []byte
}

func (j *junk) next() []byte {
	b := j.buf[:0]
	switch j.random.IntN(4) {
	case 0: // random, of the lengths that mean something or of any
		lengths := []int{0, 1, 15, 16, 31, 32, 33, 48, 72, 96, 128, 192, 20, 1400, 2048}
		n := lengths[j.random.IntN(len(lengths))]
		if j.random.IntN(2) == 0 {
			n = j.random.IntN(600)
		}
		b = b[:n]
		for i := range b {
			b[i] = byte(j.random.Uint32())
		}
		return b
	case 1: // a recorded one, damaged
		b = append(b, j.tape[j.random.IntN(len(j.tape))].Bytes...)
		return j.damage(b)
	}
	// A header of our choice under a right mask, over random bytes or a record.
	if j.random.IntN(2) == 0 {
		b = append(b, j.tape[j.random.IntN(len(j.tape))].Bytes...)
		if len(b) < 32 {
			return b
		}
	} else {
		lengths := []int{32, 48, 72, 96, 128, 192, 60, 100, 300}
		b = b[:lengths[j.random.IntN(len(lengths))]]
		for i := range b {
			b[i] = byte(j.random.Uint32())
		}
	}
	mask := j.masks[j.random.IntN(len(j.masks))]
	mask.Show(j.sc, b)
	b[0] = 1<<5 | byte(1+j.random.IntN(10))
	b[1] = []byte{0, 1, 2, 0x10, 0x11, 0x20}[j.random.IntN(6)]
	if j.random.IntN(3) > 0 {
		b[2], b[3] = []byte{0, 255}[j.random.IntN(2)], 0
	}
	mask.Hide(j.sc, b)
	return b
}

func (j *junk) damage(b []byte) []byte {
	switch j.random.IntN(3) {
	case 0:
		for range 1 + j.random.IntN(4) {
			if len(b) > 0 {
				b[j.random.IntN(len(b))] ^= 1 << j.random.IntN(8)
			}
		}
	case 1:
		b = b[:j.random.IntN(len(b)+1)]
	case 2:
		for range 1 + j.random.IntN(40) {
			b = append(b, byte(j.random.Uint32()))
		}
	}
	return b
}

// A million datagrams of junk at an edge and a supernode: nothing breaks,
// nothing grows, and the log stays quiet. Not in parallel: it counts goroutines and
// memory.
func TestJunk(t *testing.T) {
	n := 1_000_000
	if testing.Short() || race {
		n = 50_000
	}
	synctest.Test(t, func(t *testing.T) { checkJunk(t, n) })
}

func checkJunk(t *testing.T, n int) {
	c := &couple{World: New(t, 31)}
	var lines logCount
	c.Log = slog.New(&lines)
	c.sn = c.Supernode(supernodeAddr)
	for i, e := range []**Edge{&c.left, &c.right} {
		*e = c.Edge(c.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)})), Options{
			Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{c.sn}, Deliver: c.sinks[i].Deliver,
		})
	}
	c.there = c.Flow(c.left, c.right.MAC, &c.sinks[1])
	c.back = c.Flow(c.right, c.left.MAC, &c.sinks[0])
	tape := c.Record(4000)
	time.Sleep(time.Second)
	for len(tape.Take()) < 2000 {
		c.both(time.Second, 20*time.Millisecond)
	}
	c.Net.Tap(nil)
	j := &junk{
		random: rand.New(rand.NewPCG(31, 1)), tape: tape.Take(), sc: crypto.NewScratch(), buf: make([]byte, 4096),
		masks: []*crypto.Mask{
			crypto.NewMask(c.Community.MaskKey()), crypto.NewMask(crypto.SupernodeMaskKey(c.sn.identity.Static, nil)),
			crypto.NewMask(crypto.HelloMaskKey(nil)),
		},
	}
	mark := c.measure(t)
	first, quiet := c.there.Len(), lines.lines.Load()
	targets := []netip.AddrPort{c.sn.Addr, netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), c.left.conn.LocalAddr().Port())}
	sources := []netip.AddrPort{c.sn.Addr, targets[1], netip.AddrPortFrom(netip.MustParseAddr("198.51.100.2"), c.right.conn.LocalAddr().Port())}
	for i := range n {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(j.random.Uint32())}), uint16(1+j.random.IntN(65535)))
		to := targets[i%2]
		if s := sources[j.random.IntN(3)]; s != to && j.random.IntN(3) == 0 {
			from = s
		}
		c.Net.Inject(from, to, j.next())
		if i%400 == 399 {
			time.Sleep(time.Millisecond)
			if i%20_000 == 19_999 {
				c.both(20*time.Millisecond, 20*time.Millisecond)
			}
		}
	}
	time.Sleep(20 * time.Second) // what may be kept for a moment has gone
	now := c.measure(t)
	if dropped := now.dropped - mark.dropped; dropped < n*9/10 {
		t.Errorf("only %d of %d datagrams were dropped", dropped, n)
	}
	t.Logf("%d datagrams, %d drops, heap %d to %d bytes, %d log lines", n, now.dropped-mark.dropped, mark.heap, now.heap, lines.lines.Load()-quiet)
	for table, count := range now.tables {
		if was := mark.tables[table]; count > was+2 {
			t.Errorf("%s grew from %d to %d", table, was, count)
		}
	}
	if now.goroutines > mark.goroutines {
		t.Errorf("goroutines grew from %d to %d", mark.goroutines, now.goroutines)
	}
	if now.heap > mark.heap+16<<20 {
		t.Errorf("the heap grew from %d to %d bytes", mark.heap, now.heap)
	}
	if logged := lines.lines.Load() - quiet; logged > 100 {
		t.Errorf("%d lines were logged", logged)
	}
	c.whole(t, first)
	c.both(5*time.Second, 50*time.Millisecond)
	time.Sleep(time.Second)
	c.whole(t, first)
	c.end()
}

// measured is how much programs hold.
type measured struct {
	tables     map[string]int
	goroutines int
	heap       uint64
	dropped    int
}

// dropped returns how much was dropped, for whatever reason.
func (c *couple) dropped(t *testing.T) (n int) {
	t.Helper()
	for _, e := range []*Edge{c.left, c.right} {
		for _, k := range e.status().Drops {
			n += int(k)
		}
	}
	for _, k := range c.sn.Server.Status().Drops {
		n += int(k)
	}
	return n
}

func (c *couple) measure(t *testing.T) measured {
	t.Helper()
	m := measured{tables: make(map[string]int)}
	for i, e := range []*Edge{c.left, c.right} {
		list, err := e.Edge.Ceilings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			m.tables[fmt.Sprint("edge ", i, " ", l.Table)] = l.Count
			if l.Count > l.Max {
				t.Errorf("edge %d: %d %s, at most %d", i, l.Count, l.Table, l.Max)
			}
		}
	}
	st := c.sn.Server.Status()
	m.tables["edges"], m.tables["leases"], m.tables["supernode sessions"], m.tables["guests"] = st.Edges, st.Leases, st.Sessions, st.Guests
	m.dropped = c.dropped(t)
	m.tables["communities"] = len(st.Communities)
	synctest.Wait()
	m.goroutines = runtime.NumGoroutine()
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.heap = mem.HeapAlloc
	return m
}
