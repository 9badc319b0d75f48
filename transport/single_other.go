//go:build !linux

package transport

// ttlMessage returns nil: these systems have no such control message, or name it
// each in a way of its own.
func ttlMessage(uint8) []byte { return nil }
