package protocol

// Close ends a pair session: its sender forgets the keys.
type Close struct {
	// Reason is one of the Close constants; others count as CloseDone.
	Reason uint8
}

// The reasons for a Close.
const (
	// CloseDone is an edge that shuts down.
	CloseDone = 0
	// CloseIdle says that the session was not used.
	CloseIdle = 1
	// CloseRevoked is a peer that is no longer on the list of members.
	CloseRevoked = 2
)

// Append appends the message with its type and length.
func (m *Close) Append(dst []byte) []byte {
	return append(dst, byte(MsgClose), 0, 1, m.Reason)
}

// ParseClose reads the value of a CLOSE. It fails with ErrShort or ErrLength.
func ParseClose(value []byte) (Close, error) {
	r := reader{b: value}
	m := Close{Reason: r.u8()}
	return m, r.done()
}
