//go:build !linux

package tap

import (
	"errors"
	"os"
)

// HandOver returns errors.ErrUnsupported.
func (d *Device) HandOver() (HandedOver, []*os.File, error) {
	return HandedOver{}, nil, errors.ErrUnsupported
}

// Closed reports false: nobody needs to know.
func (d *Device) Closed() bool { return false }

// Leave does nothing: no other process has the device.
func (d *Device) Leave() {}

// Keep does nothing.
func (d *Device) Keep() {}

// Adopt returns errors.ErrUnsupported.
func Adopt(Config, HandedOver, []*os.File) (*Device, error) { return nil, errors.ErrUnsupported }
