package tap

import "hedgerow/tap/offload"

// MaxFrame is the longest frame in bytes that a device gives: an IP packet of
// 65 535 bytes behind an Ethernet header and two VLAN tags. A device with
// FeatureTSO or FeatureUSO gives frames of nearly that length whatever its MTU.
const MaxFrame = 65535 + 14 + 2*4

// Frame is one Ethernet frame inside a buffer that belongs to the caller of
// ReadBatch or WriteBatch: the frame is Buf[Off : Off+Len].
//
// The offload.HeaderLen bytes in front of Off are the device's: the caller
// leaves at least so many, and both ReadBatch and WriteBatch may overwrite them,
// since the kernel wants its vnet header and the frame in one piece. What lies
// before them, and behind the frame in WriteBatch, is the caller's headroom and
// tailroom, which a device never touches.
//
// ReadBatch reads at the Off that the caller set, into Buf[Off:], and sets Len
// and Offload. A frame that is longer than the room is cut by the kernel without
// notice: Buf must hold Off plus MaxFrame when the device gives super-frames,
// and Off plus the MTU plus 22 bytes (Ethernet header and two VLAN tags)
// otherwise.
//
// WriteBatch hands over Buf[Off : Off+Len] with the work that Offload names. It
// leaves the frame as it is, but where the device has no vnet header and Offload
// asks for a checksum: that is computed in place, and Offload is then zero.
type Frame struct {
	Buf     []byte
	Off     int
	Len     int
	Offload offload.Header // what is left to be done on the frame; zero for a plain one
}

// Bytes returns the frame without the room around it. It panics when Off and
// Len do not lie inside Buf, which is a fault of the caller.
func (f *Frame) Bytes() []byte { return f.Buf[f.Off : f.Off+f.Len] }

// isSuper reports whether the frame is several segments in one.
func (f *Frame) isSuper() bool { return f.Offload.GSOType != offload.GSONone }

// makePlain does the work that is left on the frame, for a device that cannot
// leave it to the kernel. It reports false for what it cannot do: a super-frame,
// or a header that does not fit the frame.
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
