package bridge

import (
	"encoding/binary"
	"net/netip"

	"hedgerow/protocol"
)

// arpLen is the length of ARP for IPv4 and six-byte hardware addresses (RFC 826).
const arpLen = 28

// isARP reports whether a payload is ARP for these. The hardware type is not looked at,
// since hosts take more than one.
func isARP(p []byte) bool {
	return len(p) >= arpLen && binary.BigEndian.Uint16(p[2:]) == protocol.EtherTypeIPv4 && p[4] == protocol.MACLen && p[5] == 4
}

// readARP reads ARP: its sender says which addresses it has, whatever the operation. A
// probe without a sender address asks and claims nothing (RFC 5227, section 1.1).
func (c *Claim) readARP(p []byte, src protocol.MAC) {
	if !isARP(p) {
		return
	}
	c.names(p[8:14], src)
	c.claim(netip.AddrFrom4([4]byte(p[14:])))
}
