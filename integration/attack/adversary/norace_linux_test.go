//go:build !race

package adversary_test

import "time"

// limit is a limit of time.
func limit(d time.Duration) time.Duration { return d }
