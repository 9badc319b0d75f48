package dataplane

import (
	"hedgerow/protocol"
	"hedgerow/transport"
)

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

// SuperFrame returns the longest super-frame, in bytes of its IP packet, that a
// device with that MTU should make for an edge: its segments, sealed, are one
// train. With the kernel's 64 KiB a second train of three datagrams follows
// every first, which costs as much to send as a full one.
func SuperFrame(mtu int) int {
	const headers = 20 + 32 // IPv4, TCP with timestamps
	segments := min(transport.MaxTrainBytes/WantedPayload(mtu), transport.MaxTrainDatagrams)
	return headers + segments*(WantedPayload(mtu)-protocol.HeaderLen-protocol.TagLen-3-protocol.EthernetLen-headers)
}
