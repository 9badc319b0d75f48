// Package offload does the work that a kernel leaves to a network card: it cuts
// large TCP and UDP frames into segments (TSO, USO), joins segments into large
// frames (GRO), and computes checksums. It is pure: bytes in, values out, nothing
// allocated, and no bytes make it panic.
//
// # Words
//
// A vnet header is the struct virtio_net_hdr (virtio 1.2, section 5.1.6; Linux
// include/uapi/linux/virtio_net.h) in front of every frame of a TAP device that
// was opened with one. It names the offload that the frame still needs: [Header].
//
// A frame with [FlagNeedsCsum] has a partial checksum: its checksum field holds
// the sum of the pseudo-header of TCP (RFC 9293, section 3.1) or UDP (RFC 768;
// RFC 8200, section 8.1), folded to 16 bits and not complemented. [Complete]
// completes it (RFC 1071).
//
// A super-frame is one Ethernet frame that stands for many segments of one flow:
// one set of headers and the payloads of all the segments one after the other,
// up to 64 KiB. Its vnet header names the payload size of a segment. The kernel
// walks its stack once for all of them, and that, not the number of system
// calls, makes an overlay fast.
//
// # Cutting and joining
//
// A [Cutter] makes Ethernet frames of a super-frame, in place, as the kernel's
// tcp_gso_segment and __udp_gso_segment would (Linux net/ipv4/tcp_offload.c,
// udp_offload.c). A [Joiner] is its inverse at the other end: it reads the
// headers of frame after frame and says whether its payload may be appended to
// the payload of the previous frame. It joins only what can be cut again into the
// same segments: a receiver cannot distinguish a joined super-frame from one
// that was never cut. Joining does not keep the IPv4 identification of atomic
// datagrams, which has no meaning (RFC 6864, section 4.1).
//
// Everything that is not plain TCP or UDP over IPv4 or IPv6 passes whole:
// fragments, other protocols, unknown extension headers, padded frames, wrong
// checksums.
package offload
