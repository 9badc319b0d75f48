//go:build !linux

package tap

import "errors"

// SetCarrier fails: the carrier of a TAP device of this system follows from the program
// that holds it.
func (d *Device) SetCarrier(bool) error {
	return errors.ErrUnsupported
}
