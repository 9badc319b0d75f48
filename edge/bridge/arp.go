package bridge

import (
	"encoding/binary"
	"net/netip"

	"hedgerow/protocol"
)

// arpLen is the length of ARP for IPv4 and six-byte hardware addresses (RFC 826).
const arpLen = 28

// readARP reads ARP: its sender says which addresses it has, whatever the operation.
// The hardware type is not looked at, since hosts take more than one. A probe without
// a sender address asks and claims nothing (RFC 5227, section 1.1).
func (c *Claim) readARP(p []byte, src protocol.MAC) {
	if len(p) < arpLen || binary.BigEndian.Uint16(p[2:]) != protocol.EtherTypeIPv4 || p[4] != protocol.MACLen || p[5] != 4 {
		return
	}
	c.names(p[8:14], src)
	c.claim(netip.AddrFrom4([4]byte(p[14:])))
}

// ARPSender returns the IPv4 address that the sender of the frame says it has: it is ARP
// for Ethernet, and in its own name. Zeros: it says nothing of that.
func (f *Parsed) ARPSender() (addr [4]byte) {
	if f.etherType != etherTypeARP {
		return addr
	}
	p := f.Payload()
	if len(p) < arpLen || binary.BigEndian.Uint16(p) != arpHardware || binary.BigEndian.Uint16(p[2:]) != protocol.EtherTypeIPv4 ||
		p[4] != protocol.MACLen || p[5] != 4 || protocol.MAC(p[8:14]) != f.Src() {
		return addr
	}
	return [4]byte(p[14:])
}
