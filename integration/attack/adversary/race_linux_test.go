//go:build race

package adversary_test

import "time"

// limit is what a limit of time is with the race detector.
func limit(d time.Duration) time.Duration { return 20 * d }
