//go:build !linux

package transport

// ttlMessage returns nil: these systems have no such control message, or each
// names it differently.
func ttlMessage(uint8, bool) []byte { return nil }
