package transport

import "slices"

// ttlMessage returns the control message that gives one datagram a time to live.
func ttlMessage(ttl uint8) []byte {
	var c control
	_, _, n := c.put(&envelope{ttl: ttl})
	return slices.Clone(c.bytes()[:n])
}
