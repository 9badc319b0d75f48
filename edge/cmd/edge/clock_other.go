//go:build !linux

package main

import "time"

// bootClock returns nil: there is no clock here that counts suspension.
func bootClock() func() time.Duration { return nil }

// machine returns nil: machines have no identity here that a clone changes.
func machine() func() string { return nil }
