//go:build !linux

package barrage

import "time"

// processor returns 0: what moves cost is measured on Linux only.
func processor() time.Duration { return 0 }
