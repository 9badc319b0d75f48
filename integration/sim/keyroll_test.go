package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// rolls gives the world's community epochs of the given length, of which the
// second begins after first; the last has no end.
func (w *World) rolls(first, each time.Duration, n int) {
	c := *w.Community
	c.Epochs = nil
	at := time.Now().Add(first)
	for i := range n {
		e := crypto.Epoch{Index: uint8(i), Key: w.key(uint64(100 + i)), Until: at}
		if i > 0 {
			e.From = at.Add(-each)
		}
		if i == n-1 {
			e.Until = time.Time{}
		}
		c.Epochs = append(c.Epochs, e)
		at = at.Add(each)
	}
	w.Community = &c
}

// rollCase is two edges whose clocks are apart, and a flow each way of frames
// to one and of frames to all.
type rollCase struct {
	*World
	sn          *Supernode
	left, right *Edge
	sinks       [2]Sink
	flows       []*Flow
}

func newRollCase(t *testing.T, b nattest.Behavior, offsets [2]time.Duration, first, each time.Duration, n int) *rollCase {
	c := &rollCase{World: New(t, 21)}
	c.rolls(first, each, n)
	c.sn = c.Supernode(supernodeAddr)
	start := func(i int) *Edge {
		r := c.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), b)
		return c.Edge(r.Host(netip.MustParseAddr("192.168.1.2")), Options{
			Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{c.sn}, Deliver: c.sinks[i].Deliver, ClockOffset: offsets[i],
			Ethernet: edge.Ethernet{Storm: -1}, // dense floods
		})
	}
	c.left, c.right = start(0), start(1)
	c.flows = []*Flow{
		c.Flow(c.left, c.right.MAC, &c.sinks[1]), c.Flow(c.left, protocol.Broadcast, &c.sinks[1]),
		c.Flow(c.right, c.left.MAC, &c.sinks[0]), c.Flow(c.right, protocol.Broadcast, &c.sinks[0]),
	}
	return c
}

func (c *rollCase) send(n int, every time.Duration) {
	for range n {
		for _, f := range c.flows {
			f.Send()
		}
		time.Sleep(every)
	}
}

func (c *rollCase) end() {
	c.left.Stop()
	c.right.Stop()
	c.sn.Stop()
	c.Close()
}

// indices returns under which key indices each edge sends.
func (c *rollCase) indices() [2]uint8 {
	return [2]uint8{c.left.status().KeyIndex, c.right.status().KeyIndex}
}

// A roll under traffic loses nothing and delivers nothing twice, whichever clock
// is ahead and by however much under an hour, directly and relayed.
func TestKeyRoll(t *testing.T) {
	t.Parallel()
	for _, apart := range some(0, 50*time.Minute, -50*time.Minute) {
		for name, b := range bothPaths {
			for _, epochs := range some(2, 3) {
				t.Run(fmt.Sprintf("%v apart, %s, %d epochs", apart, name, epochs), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := newRollCase(t, b, [2]time.Duration{0, apart}, 61*time.Minute, 62*time.Minute, epochs)
						time.Sleep(time.Second)
						checkRoll(t, c, epochs)
						c.end()
					})
				})
			}
		}
	}
}

// rollFrames is how many frames of each flow go over a roll.
func rollFrames() int {
	switch {
	case race:
		return 400
	case testing.Short():
		return 2000
	}
	return 10_000
}

// checkRoll sends until every clock has rolled every epoch.
func checkRoll(t *testing.T, c *rollCase, epochs int) {
	c.send(20, 500*time.Millisecond) // until the sessions stand
	first := c.flows[0].Len()
	whole := time.Duration(epochs)*62*time.Minute + 55*time.Minute
	seen := []([2]uint8){c.indices()}
	for c.flows[0].Len()-first < rollFrames() {
		c.send(20, whole/time.Duration(rollFrames()))
		if now := c.indices(); now != seen[len(seen)-1] {
			seen = append(seen, now)
		}
	}
	time.Sleep(time.Second)
	if last := seen[len(seen)-1]; last != [2]uint8{uint8(epochs - 1), uint8(epochs - 1)} {
		t.Errorf("at last they send under %v", last)
	}
	for i, f := range c.flows {
		if lost := f.Lost(first, f.Len()); len(lost) > 0 {
			t.Errorf("flow %d lost %s", i, brief(lost))
		}
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("flow %d delivered twice: %s", i, brief(twice))
		}
	}
}

// Dense traffic over one roll of each: many frames in every moment of it.
func TestKeyRollDense(t *testing.T) {
	t.Parallel()
	for _, apart := range some(time.Minute, 50*time.Minute, -50*time.Minute) {
		t.Run(fmt.Sprint(apart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := 2 * time.Hour
				c := newRollCase(t, nattest.PortRestricted, [2]time.Duration{0, apart}, at, 24*time.Hour, 2)
				begun := time.Now()
				time.Sleep(time.Second)
				c.send(20, 500*time.Millisecond)
				first := c.flows[0].Len()
				rolls := []time.Time{begun.Add(at), begun.Add(at - apart)}
				slices.SortFunc(rolls, time.Time.Compare)
				for _, roll := range rolls {
					for time.Until(roll) > 10*time.Second {
						c.send(1, min(5*time.Second, time.Until(roll)-10*time.Second))
					}
					c.send(rollFrames(), 20*time.Second/time.Duration(rollFrames()))
				}
				time.Sleep(time.Second)
				if got := c.indices(); got != [2]uint8{1, 1} {
					t.Errorf("they send under %v", got)
				}
				for i, f := range c.flows {
					if lost := f.Lost(first, f.Len()); len(lost) > 0 {
						t.Errorf("flow %d lost %s", i, brief(lost))
					}
					if twice := f.Twice(); len(twice) > 0 {
						t.Errorf("flow %d delivered twice: %s", i, brief(twice))
					}
				}
				c.end()
			})
		})
	}
}

// Clocks that are further apart than the skew allows lose each other when the
// first one rolls; within 5 s of the second one's roll traffic is back.
func TestKeyRollBeyondSkew(t *testing.T) {
	t.Parallel()
	for _, apart := range some(70*time.Minute, -70*time.Minute) {
		for name, b := range bothPaths {
			t.Run(fmt.Sprint(apart, " ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					at := 3 * time.Hour
					if race {
						at = 90 * time.Minute // the first one rolls after 20
					}
					c := newRollCase(t, b, [2]time.Duration{0, apart}, at, 24*time.Hour, 2)
					begun := time.Now()
					second := begun.Add(at)
					if apart < 0 {
						second = second.Add(-apart)
					}
					time.Sleep(time.Second)
					for time.Until(second) > 0 {
						c.send(1, min(time.Second, time.Until(second)))
					}
					n := c.flows[0].Len()
					c.send(200, 50*time.Millisecond)
					time.Sleep(time.Second)
					for i, f := range c.flows {
						d := f.Resumed(second)
						t.Logf("flow %d resumed after %v", i, d)
						if d > 5*time.Second {
							t.Errorf("flow %d resumed after %v", i, d)
						}
						if lost := f.Lost(n+100, f.Len()); len(lost) > 0 {
							t.Errorf("flow %d lost after that: %s", i, brief(lost))
						}
						if lost := f.Lost(20, f.Len()); len(lost) > 0 {
							// What is lost lies between the first one's roll and the
							// opening of the other one's window, 10 minutes later.
							from, to := f.sent[lost[0]].Sub(second), f.sent[lost[len(lost)-1]].Sub(second)
							t.Logf("flow %d lost %s from %v to %v", i, brief(lost), from, to)
							if from < -70*time.Minute || to > -60*time.Minute+5*time.Second {
								t.Errorf("flow %d lost frames from %v to %v of the second roll", i, from, to)
							}
						}
						if twice := f.Twice(); len(twice) > 0 {
							t.Errorf("flow %d delivered twice: %s", i, brief(twice))
						}
					}
					c.end()
				})
			})
		}
	}
}
