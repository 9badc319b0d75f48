package barrage

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const (
	replays      = 25               // of a script with a move that took too long
	shortenFor   = 30 * time.Second // a script that fails
	reportEvery  = 30 * time.Second
	corpusFolder = "testdata/fuzz/FuzzBarrage"
	collectAt    = 200 << 20 // bytes: a collection takes longer than a packet may
	heapEvery    = 200       // stages between two looks at what one keeps
	kept         = 4 << 20   // bytes that a stage may keep of all that it was told
)

// Of the tests that play to a Target.
var (
	playFor   = flag.Duration("barrage", 2*time.Second, "how long TestBarrage goes on")
	firstSeed = flag.Uint64("barrage.seed", 1, "with what TestBarrage begins")
	replayed  = flag.String("script", "", "a script that a barrage has left: TestBarrage plays it and nothing else")
)

// Replaying reports whether a script is played: the programs may tell of each move then.
func Replaying() bool { return *replayed != "" }

// inBubble has a stage made and used in a bubble of its own. What f panics with is a
// fault of the stage's making.
func (g Target) inBubble(t *testing.T, seed uint64, p *player, f func(p *player)) {
	synctest.Test(t, func(t *testing.T) {
		p.script.Seed, p.stage = seed, g(t, seed)
		p.count.Stages++
		defer p.stage.End()
		f(p)
	})
}

// Run is TestBarrage: it plays inputs of a generator for a time, to one stage after the
// other, beginning with a seed, and logs how many there were. Its corpus are the seeds of
// Fuzz and what that has found. It fails with the first script that hurts. Of a script that
// was left it plays that alone.
func (g Target) Run(t *testing.T) {
	t.Helper()
	if Replaying() {
		g.script(t, *replayed)
		return
	}
	corpus, err := inputsIn(corpusFolder)
	if err != nil {
		t.Fatal(err)
	}
	corpus = append(corpus, seeds()...)
	var total Count
	dog := newWatchdog(hungAfter*slower, hung)
	defer dog.end()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(collectAt))
	began := time.Now()
	seed := *firstSeed
	for reported := began; time.Since(began) < *playFor && !t.Failed(); seed++ {
		p, fault := g.drawn(t, dog, seed, corpus)
		if total.add(p.count); fault != nil {
			g.fail(t, dog, &p.script, fault)
		}
		if time.Since(reported) >= reportEvery {
			reported = time.Now()
			t.Logf("%.0f s: %v", time.Since(began).Seconds(), total)
		}
	}
	t.Logf("%.0f s, %.0f packets/s: %v; the next seed is %d", time.Since(began).Seconds(), float64(total.Packets)/time.Since(began).Seconds(), total, seed)
}

// drawn plays what a generator draws to one stage, and returns what hurt it.
func (g Target) drawn(t *testing.T, dog *watchdog, seed uint64, corpus [][]byte) (p *player, fault error) {
	draw, looks := newGenerator(seed, corpus), seed%heapEvery == 0
	p = &player{limit: limitNow()}
	dog.watch(p)
	g.inBubble(t, seed, p, func(p *player) {
		before := heap(looks)
		for fault == nil && p.count.Moves < movesOfStage {
			fault = p.play(draw.next())
		}
		if grown := heap(looks) - before; fault == nil && grown > kept+int64(scriptBytes(&p.script)) {
			fault = fmt.Errorf("it keeps %d KiB of %d moves", grown>>10, p.count.Moves)
		}
	})
	if fault == nil && len(p.slow) > 0 {
		fault = g.again(t, dog, p)
	}
	return p, fault
}

// heap returns the bytes that are in use, if that is wanted: it takes a collection.
func heap(wanted bool) int64 {
	if !wanted {
		return 0
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func scriptBytes(s *Script) (n int) {
	for _, in := range s.Inputs {
		n += cap(in) + 2*24
	}
	return n
}

// again plays a script again whose moves p.slow took too long, and returns an error if
// one of them always does.
func (g Target) again(t *testing.T, dog *watchdog, p *player) (fault error) {
	wanted := make(map[int]time.Duration, len(p.slow))
	for _, n := range p.slow {
		wanted[n] = time.Hour
	}
	p.count.Suspects += len(p.slow)
	for range replays {
		if slowest(wanted) <= 0 {
			return nil
		}
		next := &player{wanted: wanted, limit: limitNow()}
		dog.watch(next)
		g.inBubble(t, p.script.Seed, next, func(next *player) {
			for i := 0; i < len(p.script.Inputs) && fault == nil && next.count.Moves <= slices.Max(p.slow); i++ {
				fault = next.play(p.script.Inputs[i])
			}
		})
		if fault != nil {
			return fault
		}
	}
	if over := slowest(wanted); over > 0 {
		return fmt.Errorf("a move takes %v of processor time more than it may, whenever it is played", over)
	}
	return nil
}

func slowest(wanted map[int]time.Duration) (most time.Duration) {
	for _, over := range wanted {
		most = max(most, over)
	}
	return most
}

// script plays the script in a file.
func (g Target) script(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseScript(text)
	if err != nil {
		t.Fatal(err)
	}
	dog := newWatchdog(hungAfter*slower, hung)
	defer dog.end()
	if fault := g.replay(t, dog, s); fault != nil {
		t.Fatal(fault)
	}
}

// replay plays a script and returns what does not hold.
func (g Target) replay(t *testing.T, dog *watchdog, s *Script) (fault error) {
	p := &player{limit: limitNow()}
	dog.watch(p)
	g.inBubble(t, s.Seed, p, func(p *player) {
		for i := 0; i < len(s.Inputs) && fault == nil; i++ {
			fault = p.play(s.Inputs[i])
		}
		if fault == nil {
			fault = p.stage.Verify()
		}
	})
	if fault == nil && len(p.slow) > 0 {
		fault = g.again(t, dog, p)
	}
	return fault
}

// fail fails the test with a fault, and leaves its script and a shorter one.
func (g Target) fail(t *testing.T, dog *watchdog, s *Script, fault error) {
	t.Helper()
	t.Errorf("%v\n%s", fault, hint(s))
	if short, again := g.shortened(t, dog, s); again != nil {
		t.Errorf("shortened: %v\n%s", again, hint(short))
	} else {
		t.Error("it does not fail when it is played again")
	}
}

// hint keeps a script, and says how it is played.
func hint(s *Script) string {
	file := s.keep()
	return fmt.Sprintf("the script of %d inputs is in %s: go test -run '^TestBarrage$' -v -script %[2]s", len(s.Inputs), file)
}

// shortened returns a script that fails as well and is as short as can be made within a
// while, and how it fails.
func (g Target) shortened(t *testing.T, dog *watchdog, s *Script) (short *Script, fault error) {
	began := time.Now()
	short = s
	if fault = g.replay(t, dog, short); fault == nil {
		return s, nil
	}
	for n := (len(short.Inputs) + 1) / 2; n > 0; n /= 2 {
		for at := 0; at < len(short.Inputs) && time.Since(began) < shortenFor; {
			rest := short.Inputs[min(at+n, len(short.Inputs)):]
			less := &Script{Seed: s.Seed, Inputs: append(slices.Clone(short.Inputs[:at]), rest...)}
			if again := g.replay(t, dog, less); again != nil {
				short, fault = less, again
			} else {
				at += n
			}
		}
	}
	return short, fault
}
