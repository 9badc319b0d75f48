//go:build race

package adversary_test

import "time"

// every is how many inputs of a corpus are played for one with -short: they take twenty
// times as long with the race detector, and tell it the same.
const every = 6

// limit is what a limit of time is with the race detector.
func limit(d time.Duration) time.Duration { return 20 * d }
