package dataplane

// Congestion marks cross the overlay as RFC 6040 says, so that whoever speaks through it
// learns of a queue outside before that loses packets. On the way out the ECN field of a
// frame is that of the packets that carry it (normal mode, section 4.1), if whoever gets
// them said that it looks at them; else, and in GROUP packets, which go to many, theirs is
// 0 (compatibility mode). On the way in the field of the packet changes that of the frame.

// The values of the ECN field (RFC 3168, section 5).
const (
	ecnNone = 0 // Not-ECT: the flow does not know marks
	ecnECT1 = 1
	ecnECT0 = 2
	ecnCE   = 3 // congestion experienced
	ecnMask = 3 // its bits in the TOS octet
)

// ecnDrop stands for a field that there is not: the frame goes no further.
const ecnDrop = 0xff

// ecnInner is the field with which a frame goes on, by its own and by that of the packet
// in which it came (RFC 6040, section 4.2, figure 4). A mark on a packet whose flow does not
// know any can only be told by losing it.
var ecnInner = [4][4]uint8{
	ecnNone: {ecnNone: ecnNone, ecnECT0: ecnNone, ecnECT1: ecnNone, ecnCE: ecnDrop},
	ecnECT0: {ecnNone: ecnECT0, ecnECT0: ecnECT0, ecnECT1: ecnECT1, ecnCE: ecnCE},
	ecnECT1: {ecnNone: ecnECT1, ecnECT0: ecnECT1, ecnECT1: ecnECT1, ecnCE: ecnCE},
	ecnCE:   {ecnNone: ecnCE, ecnECT0: ecnCE, ecnECT1: ecnCE, ecnCE: ecnCE},
}

// changesFrames reports whether an ECN field of a packet is one that can change the frame
// in it: ECT(1) or CE.
func changesFrames(ecn uint8) bool { return ecn&1 != 0 }
