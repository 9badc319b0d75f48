package tap

// Frame is one Ethernet frame inside a buffer that belongs to the caller of
// ReadBatch or WriteBatch: the frame is Buf[Off : Off+Len]. The room before Off
// and after Off+Len is the caller's headroom and tailroom; a device never
// touches it.
//
// ReadBatch reads at the Off that the caller set, into Buf[Off:], and sets Len
// and Offload. A frame that is longer than the room is cut by the kernel
// without notice, so Buf must hold Off plus the device's MTU plus 22 bytes
// (Ethernet header and two VLAN tags); the native backend of a later release
// needs 64 KiB. WriteBatch reads Buf[Off:Off+Len] and changes nothing.
type Frame struct {
	Buf     []byte
	Off     int
	Len     int
	Offload Offload
}

// Bytes returns the frame without the room around it. It panics when Off and
// Len do not lie inside Buf, which is a fault of the caller.
func (f *Frame) Bytes() []byte { return f.Buf[f.Off : f.Off+f.Len] }

// Offload is the work on a frame that the kernel left to its receiver, in the
// terms of struct virtio_net_hdr (virtio 1.2, section 5.1.6). The zero value is
// a plain frame, complete with its checksums, and is all that the backends of
// this package produce and accept today; the shape is here so that a backend
// with vnet headers needs no other interface.
type Offload struct {
	Flags      uint8  // VIRTIO_NET_HDR_F_*: 1 = the checksum is still to be computed
	GSOType    uint8  // VIRTIO_NET_HDR_GSO_*: 0 = one frame, not a super-frame
	HdrLen     uint16 // bytes of headers that every segment repeats
	GSOSize    uint16 // payload bytes of each segment but the last
	CsumStart  uint16 // where summing starts, in bytes from the frame's start
	CsumOffset uint16 // where the sum goes, in bytes from CsumStart
}
