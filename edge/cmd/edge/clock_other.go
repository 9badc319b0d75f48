//go:build !linux

package main

import (
	"context"
	"time"
)

// bootClock returns nil: there is no clock here that counts suspension.
func bootClock() func() time.Duration { return nil }

// machineFile is empty: machines have no identity here that a clone changes.
const machineFile = ""

// machine returns nil, as there is no such identity.
func machine() func() string { return nil }

// machineID returns the empty string, for the same reason.
func machineID(string) string { return "" }

// lastingID returns the empty string, too.
func lastingID(string) string { return "" }

// forks returns nil: nothing here tells of a machine that was restored.
func forks() func(ctx context.Context, forked func()) error { return nil }
