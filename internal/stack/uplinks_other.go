//go:build !linux

package stack

import "net/netip"

// Uplinks returns none: routes are asked for on Linux alone.
func (s *Stack) Uplinks(netip.Addr) []string { return nil }
