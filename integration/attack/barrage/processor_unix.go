//go:build unix

package barrage

import (
	"syscall"
	"time"
)

// processor returns the processor time that this process has used, which no bubble
// replaces (getrusage(2)).
func processor() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic("barrage: " + err.Error())
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
