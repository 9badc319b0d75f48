//go:build !linux

package transport

// A signal wakes who waits for descriptors, which is done on Linux only.
type signal struct{}

func (signal) set()         {}
func (signal) clear()       {}
func (signal) close() error { return nil }
