package protocol

// Header is documented, one of its fields too.
type Header struct {
	Type  uint8 // documented
	Index uint32
}

const Version = 1

// Parse is documented.
func Parse(b []byte) (Header, bool) {
	if len(b) < 5 {
		return Header{}, false
	}
	return Header{Type: b[0]}, true
}
