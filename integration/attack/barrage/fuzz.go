package barrage

import (
	"sync"
	"testing"
)

// Fuzz is FuzzBarrage: it plays the inputs of the go command's fuzzer, each to the stage
// that the one before was played to.
func (g Target) Fuzz(f *testing.F) {
	for _, in := range seeds() {
		f.Add(in)
	}
	l := &living{target: g, dog: newWatchdog(hungAfter*slower, hung)}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) <= 16*longestInput {
			l.play(t, in)
		}
	})
}

// living is a stage of a fuzzer, in a bubble of its own.
type living struct {
	target Target
	dog    *watchdog
	mu     sync.Mutex
	seed   uint64
	player *player
	inputs chan []byte // nil: no stage is there
	faults chan error  // one for each input, and one when all is over
}

// play plays an input, and fails the test with what comes of it.
func (l *living) play(t *testing.T, in []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inputs == nil {
		l.begin()
	}
	l.inputs <- append([]byte(nil), in...) // the fuzzer uses its own again
	fault := <-l.faults
	if fault != nil || l.player.count.Moves >= movesOfStage {
		close(l.inputs)
		<-l.faults
		l.inputs = nil
		if fault == nil && len(l.player.slow) > 0 {
			inTest(func(t *testing.T) { fault = l.target.again(t, l.dog, l.player) })
		}
	}
	if fault != nil {
		t.Fatalf("%v\n%s", fault, hint(&l.player.script))
	}
}

// begin makes another stage.
func (l *living) begin() {
	l.seed++
	l.player, l.inputs, l.faults = &player{limit: limitNow()}, make(chan []byte), make(chan error)
	l.dog.watch(l.player)
	p, inputs, faults, seed := l.player, l.inputs, l.faults, l.seed
	go func() {
		inTest(func(t *testing.T) {
			// The channels are not the bubble's: its clock stands still while it waits.
			l.target.inBubble(t, seed, p, func(p *player) {
				for in := range inputs {
					faults <- p.play(in)
				}
			})
		})
		faults <- nil
	}()
}

// inTest calls f with a test of its own.
func inTest(f func(t *testing.T)) {
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "stage", F: f}})
}
