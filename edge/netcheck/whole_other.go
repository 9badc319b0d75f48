//go:build !linux

package netcheck

import "errors"

// openWhole fails where there is no one way to keep datagrams from being cut, so
// that sizes are not measured.
func openWhole(string) (Conn, error) { return nil, errors.ErrUnsupported }
