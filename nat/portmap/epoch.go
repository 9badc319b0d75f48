package portmap

import "time"

// An epoch watches a router's clock, which counts from the start of its table of
// mappings. A clock that went back, or is far from the expected time, shows that
// the router has lost the mappings (RFC 6887, section 8.5).
type epoch struct {
	router time.Duration // as last heard
	heard  time.Time     // when
}

// consistent records a router's time and reports whether its table is still the
// same. The first time always is.
func (e *epoch) consistent(now time.Time, router time.Duration) bool {
	before := *e
	*e = epoch{router, now}
	if before.heard.IsZero() {
		return true
	}
	ours, theirs := now.Sub(before.heard), router-before.router
	// The numbers are those of the RFC: a second back is rounding, two seconds
	// and a sixteenth are clocks that differ.
	const slack = 2 * time.Second
	return theirs >= -time.Second && ours+slack >= theirs-theirs/16 && theirs+slack >= ours-ours/16
}
