package barrage

import (
	"syscall"
	"time"
)

// processor returns the processor time that this process has used, which no bubble
// replaces (GetProcessTimes). It grows by 15.6 ms at a time.
func processor() time.Duration {
	var begun, ended, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(self, &begun, &ended, &kernel, &user); err != nil {
		panic("barrage: " + err.Error())
	}
	return filetime(kernel) + filetime(user)
}

// self is the process itself, a handle that needs no closing.
var self = func() syscall.Handle {
	h, err := syscall.GetCurrentProcess()
	if err != nil {
		panic("barrage: " + err.Error())
	}
	return h
}()

// filetime returns a length of time, in units of 100 ns.
func filetime(t syscall.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100
}
