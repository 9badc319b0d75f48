package handshake

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// TestErrors: each Error has a reason and a sentence of its own, and can be told
// from all others, wrapped or not.
func TestErrors(t *testing.T) {
	var all []Error
	for e := range Error(255) {
		if e.known() {
			all = append(all, e)
		}
	}
	if len(all) != 30 {
		t.Errorf("%d errors", len(all))
	}
	seen := map[string]bool{}
	for _, e := range all {
		reason, text := e.Reason(), e.Error()
		if seen[reason] || seen[text] || !strings.HasPrefix(reason, "handshake-") || strings.ContainsAny(reason, " _") {
			t.Errorf("%d: %q, %q", e, reason, text)
		}
		seen[reason], seen[text] = true, true
		wrapped := fmt.Errorf("to a peer: %w", e)
		if Reason(wrapped) != reason {
			t.Errorf("wrapped: %q", Reason(wrapped))
		}
		for _, other := range all {
			if errors.Is(wrapped, other) != (other == e) {
				t.Errorf("%v is %v", e, other)
			}
		}
	}
	for err, reason := range map[error]string{
		nil: "", errors.New("other"): "handshake", Error(0): "handshake", Error(200): "handshake",
	} {
		if got := Reason(err); got != reason {
			t.Errorf("%v: %q", err, got)
		}
	}
}

func TestCounts(t *testing.T) {
	var c Counts
	if m := c.AddTo(map[string]uint64{}); len(m) != 0 {
		t.Errorf("%v", m)
	}
	for _, err := range []error{nil, ErrMAC1, ErrMAC1, fmt.Errorf("%w: %w", ErrBuild, errors.New("low order")), errors.New("other"), Error(250)} {
		c.Count(err)
	}
	got := c.AddTo(map[string]uint64{"short": 1})
	wanted := map[string]uint64{"short": 1, "handshake-mac1": 2, "handshake-build": 1, "handshake": 2}
	if !maps.Equal(got, wanted) {
		t.Errorf("%v", got)
	}
	if c.Of(ErrMAC1) != 2 || c.Of(ErrOpen) != 0 || c.Of(0) != 2 {
		t.Error("Of")
	}
	if n := testing.AllocsPerRun(100, func() { c.Count(ErrMAC1) }); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
}
