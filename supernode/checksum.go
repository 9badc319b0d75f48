package supernode

import (
	"bytes"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum returns a copy of b with its checksum behind it.
func sum(b []byte) []byte {
	n := crc32.Checksum(b, castagnoli)
	return append(bytes.Clone(b), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// unsum returns what sum was given. ok is false if it is damaged.
func unsum(b []byte) (content []byte, ok bool) {
	if len(b) < 4 {
		return nil, false
	}
	content = b[:len(b)-4]
	return content, bytes.Equal(sum(content), b)
}
