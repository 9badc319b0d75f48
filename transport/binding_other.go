//go:build !linux

package transport

import (
	"errors"
	"fmt"
)

// set refuses any binding but the zero one.
func (b Binding) set(int) error {
	if b == (Binding{}) {
		return nil
	}
	return fmt.Errorf("a firewall mark, or one interface for the underlay: %w", errors.ErrUnsupported)
}
