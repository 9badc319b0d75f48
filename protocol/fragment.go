package protocol

// Limits of a fragmented inner.
const (
	// MaxPieces is the largest number of pieces of one inner: the index has
	// seven bits.
	MaxPieces = 128
	// MaxInner is the size in bytes of the largest inner that is cut into
	// pieces or joined from them.
	MaxInner = 1 << 16
	// FragmentOverhead is the number of bytes in front of each piece: the
	// inner's first byte and the fragment byte.
	FragmentOverhead = 2

	lastPiece = 0x80
)

// PieceCount returns into how many pieces an inner of innerLen bytes has to be
// cut so that the inner of no piece, with its two bytes in front, is longer
// than maxPiece. It is 0 if that cannot be done: no room, more than MaxPieces,
// or more than MaxInner bytes.
func PieceCount(innerLen, maxPiece int) int {
	room := maxPiece - FragmentOverhead
	if innerLen < 1 || innerLen > MaxInner || room < 1 {
		return 0
	}
	count := (innerLen + room - 1) / room
	if count > MaxPieces {
		return 0
	}
	return count
}

// AppendPiece appends the inner of one piece: first byte, fragment byte and
// its part of the given inner, which is of any kind but KindFragment. count
// comes from PieceCount and index from 0 to count-1. All pieces but the last
// have the same size and the last is not longer, so that a run of them can be
// sent as one message. The pieces have to be sealed under consecutive
// counters, in the order of their indices.
func AppendPiece(dst []byte, inner []byte, index, count int) []byte {
	if index < 0 || index >= count || count > MaxPieces {
		panic("protocol: no such piece")
	}
	size := (len(inner) + count - 1) / count
	from, to := min(index*size, len(inner)), min((index+1)*size, len(inner))
	b := byte(index)
	if index == count-1 {
		b |= lastPiece
	}
	dst = append(dst, byte(KindFragment)<<kindShift, b)
	return append(dst, inner[from:to]...)
}
