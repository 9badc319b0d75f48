//go:build !linux

package netcheck

import "errors"

// openWhole fails on systems without one common method to prevent fragmentation,
// so that sizes are not measured.
func openWhole(string) (Conn, error) { return nil, errors.ErrUnsupported }
