package main

import (
	"testing"

	"hedgerow/internal/lan"
)

// The port at which edges find each other on a LAN is left to an edge on this host.
func TestUsualSecond(t *testing.T) {
	for first, want := range map[uint16]uint16{
		7654: 7656, lan.DefaultPort: 7656, lan.DefaultPort - 2: 7654, 3000: 3001, 1<<16 - 1: 0,
	} {
		if got := usualSecond(first); got != want {
			t.Errorf("after %d: %d, want %d", first, got, want)
		}
	}
}
