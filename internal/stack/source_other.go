//go:build !linux

package stack

import "net/netip"

// NeedsSource returns false: these systems do not tell to which address a datagram was sent.
func (s *Stack) NeedsSource(_, _ netip.Addr) bool { return false }
