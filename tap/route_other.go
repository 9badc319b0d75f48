//go:build !linux

package tap

import "errors"

// SetRoutes sets none: that is there on Linux alone.
func (d *Device) SetRoutes(list []Route) error {
	if len(list) == 0 {
		return nil
	}
	return errors.ErrUnsupported
}

// HasRule returns false: rules are there on Linux alone.
func HasRule(bool, int) bool { return false }
