package tap

import "hedgerow/tap/offload"

// MaxFrame is the longest frame in bytes that a device delivers: an IP packet of
// 65 535 bytes behind an Ethernet header and two VLAN tags. A device with
// FeatureTSO or FeatureUSO delivers frames of nearly that length whatever its
// MTU.
const MaxFrame = 65535 + 14 + 2*4

// Frame is one Ethernet frame inside a buffer that belongs to the caller of
// ReadBatch or WriteBatch: the frame is Buf[Off : Off+Len].
//
// The offload.HeaderLen bytes in front of Off are the device's: the caller
// leaves at least so many, and both ReadBatch and WriteBatch may overwrite them,
// since the kernel wants its vnet header and the frame in one piece. The bytes
// before them, and those behind the frame in WriteBatch, are the caller's
// headroom and tailroom; a device never changes them.
//
// ReadBatch reads at the Off that the caller set, into Buf[Off:], and sets Len
// and Offload. The kernel cuts a frame that is longer than the room without
// notice: Buf must hold Off plus MaxFrame when the device delivers super-frames,
// and Off plus the MTU plus 22 bytes (Ethernet header and two VLAN tags)
// otherwise.
//
// WriteBatch writes Buf[Off : Off+Len] with the offload that Offload names. It
// does not change the frame, except for a device without vnet headers when
// Offload asks for a checksum: WriteBatch computes that in place and sets
// Offload to zero.
type Frame struct {
	Buf     []byte
	Off     int
	Len     int
	Offload offload.Header // the offload that the frame still needs; zero for a plain frame
}

// Bytes returns the frame without the room around it. It panics when Off and
// Len do not lie inside Buf, which is a fault of the caller.
func (f *Frame) Bytes() []byte { return f.Buf[f.Off : f.Off+f.Len] }

// isSuper reports whether the frame is several segments in one.
func (f *Frame) isSuper() bool { return f.Offload.GSOType != offload.GSONone }

// makePlain completes the frame for a device that cannot leave the offload to
// the kernel. It reports false for a frame that it cannot complete: a
// super-frame, or one that its header does not fit.
func (f *Frame) makePlain() bool {
	if f.Offload == (offload.Header{}) {
		return true
	}
	if f.isSuper() {
		return false
	}
	if f.Offload.Flags&offload.FlagNeedsCsum != 0 {
		if err := offload.Complete(f.Bytes(), f.Offload); err != nil {
			return false
		}
	}
	f.Offload = offload.Header{} // else a second write would sum the sum
	return true
}
