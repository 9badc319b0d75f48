package transport

import "slices"

// ttlMessage returns the control message that gives one datagram, of IPv4 or of IPv6, a time
// to live.
func ttlMessage(ttl uint8, four bool) []byte {
	var c control
	_, _, n := c.put(&envelope{ttl: ttl, four: four})
	return slices.Clone(c.bytes()[:n])
}
