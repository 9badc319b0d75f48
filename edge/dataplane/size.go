package dataplane

import "hedgerow/protocol"

// Room that a packet needs around the frame it carries. In front: a RELAY
// header with its tag, a packet header, a salt and the inner's first byte;
// behind: the AEAD tag.
const (
	headroom = protocol.RelayOverhead + protocol.HeaderLen + protocol.SaltLen + 16
	tailroom = protocol.TagLen + 16
)

// How much travels at once: buffers of datagrams in one read from the socket,
// entries in one write to it.
const (
	batchBuffers   = 8
	batchDatagrams = 64
	bufferLen      = headroom + superFrameLen + tailroom
)

// superFrameLen is the longest frame that a device gives or takes: an IP packet
// of 65 535 bytes behind an Ethernet header with two VLAN tags, rounded up.
const superFrameLen = 1<<16 + 32

// MaxMTU is the largest MTU in bytes that a device may have.
const MaxMTU = 9000

// Largest datagrams in bytes that fit an underlay MTU of 1500 bytes. A relayed
// packet may leave the supernode over IPv6, whatever it came in by.
const (
	MaxDatagramIPv4    = 1500 - 20 - 8
	MaxDatagramIPv6    = 1500 - 40 - 8
	MaxDatagramRelayed = MaxDatagramIPv6
)

// WantedPayload returns the largest UDP payload in bytes that a device with that
// MTU makes: a full frame with an unfinished checksum. A path that takes less is
// used as well.
func WantedPayload(mtu int) int {
	return min(mtu+protocol.EthernetLen+3+protocol.HeaderLen+protocol.TagLen, MaxDatagramIPv4)
}
