package protocol

// Statement says in a pair session who its sender is. That the identity in it is the
// sender's follows from both together: the identity has signed for the static key, and
// the holder of the static key says so in its own session.
type Statement struct {
	// Signed is the sender's statement, StatementLen bytes; nil asks the other end
	// for its own.
	Signed []byte
}

// Append appends the message with its type and length. Signed is empty or has
// StatementLen bytes.
func (m *Statement) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgStatement)
	return endTLV(append(dst, m.Signed...), at)
}

// ParseStatement reads the value of a STATEMENT. The statement is not verified. It
// fails with ErrShort or ErrLength if the value is neither empty nor a statement long.
func ParseStatement(value []byte) (Statement, error) {
	if len(value) == 0 {
		return Statement{}, nil
	}
	r := reader{b: value}
	m := Statement{Signed: r.statement()}
	return m, r.done()
}
