package adversary_test

import (
	"fmt"
	"sync"
	"testing"
)

// verdicts collect what attacks have found.
type verdicts struct {
	t     *testing.T
	mu    sync.Mutex
	found map[string]int // by the attack's name
	quiet bool           // faults are collected in lines
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

func newVerdicts(t *testing.T) *verdicts { return &verdicts{t: t, found: make(map[string]int)} }

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
	if v.found[name] <= most {
		v.t.Errorf(name+": "+format, args...)
	}
}
