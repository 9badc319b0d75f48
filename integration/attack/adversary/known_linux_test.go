package adversary_test

import (
	"fmt"
	"sync"
	"testing"
)

// known are faults that attacks of this package find, in the words of the issue that
// mends them. A fault that is found and is on the list does not fail the test; one
// that is on the list and is not found any more does, so that the list shrinks with
// what is mended, and is empty in the end.
var known = map[string]string{}

// hangs are those of known after which an edge does nothing any more. They are not
// tried while they are on the list.
var hangs = map[string]bool{}

// verdicts collect what an attack has found, by what it is called in known.
type verdicts struct {
	t     *testing.T
	mu    sync.Mutex
	found map[string]int
	quiet bool // faults are collected in lines
	lines []string
}

// take returns the lines, and forgets them.
func (v *verdicts) take() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	lines := v.lines
	v.lines = nil
	return lines
}

// newVerdicts judges when the test ends: names are the attacks that it makes.
func newVerdicts(t *testing.T, names ...string) *verdicts {
	v := &verdicts{t: t, found: make(map[string]int)}
	t.Cleanup(func() {
		for _, name := range names {
			words, isKnown := known[name]
			switch n := v.found[name]; {
			case isKnown && n == 0 && !hangs[name] && !t.Failed():
				t.Errorf("%s is mended (%s): take it off the list", name, words)
			case isKnown && n > 0:
				t.Logf("%s: found %d times; known: %s", name, n, words)
			}
		}
	})
	return v
}

// fault says that an attack has had an effect.
func (v *verdicts) fault(name, format string, args ...any) {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.found[name]++
	const most = 20 // lines for each attack
	if v.quiet {
		if len(v.lines) < most {
			v.lines = append(v.lines, fmt.Sprintf(name+": "+format, args...))
		}
		return
	}
	if _, isKnown := known[name]; !isKnown && v.found[name] <= most {
		v.t.Errorf(name+": "+format, args...)
	}
}
