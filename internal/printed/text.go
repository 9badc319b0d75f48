// Package printed helps tests to read what goroutines and processes print, while they do.
package printed

import (
	"strings"
	"sync"
)

// Text is what was printed so far, empty at first. Its methods may be called from any
// goroutine.
type Text struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends b. It returns no error.
func (t *Text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

// String returns all that was written since the last Reset.
func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// Reset empties the text.
func (t *Text) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Reset()
}
