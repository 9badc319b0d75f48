package edge

// parsed calls f with what a message says, if it can be read.
func parsed[T any](value []byte, parse func([]byte) (T, error), f func(T)) error {
	m, err := parse(value)
	if err == nil {
		f(m)
	}
	return err
}
