package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootClock returns a clock that counts suspension, which Go's monotonic clock
// does not.
func bootClock() func() time.Duration {
	return func() time.Duration {
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
			return 0
		}
		return time.Duration(ts.Nano())
	}
}

// machine returns the identity of the machine, which a clone is given anew.
func machine() func() string {
	return func() string {
		id, err := os.ReadFile("/etc/machine-id")
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(id))
	}
}
