//go:build !race

package adversary_test

import "time"

// every is how many inputs of a corpus are played for one with -short.
const every = 1

// limit is a limit of time.
func limit(d time.Duration) time.Duration { return d }
