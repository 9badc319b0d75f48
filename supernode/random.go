package supernode

import (
	"encoding/binary"
	"io"
)

// random makes random numbers. The system's source cannot fail, and nothing safe
// could be done if a test's did.
type random struct{ source io.Reader }

// number returns 32 random bits.
func (r random) number() uint32 {
	var b [4]byte
	r.fill(b[:])
	return binary.BigEndian.Uint32(b[:])
}

// fill fills b with random bytes.
func (r random) fill(b []byte) {
	if _, err := io.ReadFull(r.source, b); err != nil {
		panic("supernode: the source of random bytes failed: " + err.Error())
	}
}
