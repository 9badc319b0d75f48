package barrage

import (
	"time"

	"golang.org/x/sys/unix"
)

// processor returns the processor time that this process has used, which no bubble
// replaces.
func processor() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		panic("barrage: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
