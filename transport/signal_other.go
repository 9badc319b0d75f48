//go:build !linux

package transport

// A signal does nothing here: only Linux waits for descriptors.
type signal struct{}

func (signal) set()         {}
func (signal) clear()       {}
func (signal) close() error { return nil }
