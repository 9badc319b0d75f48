//go:build !linux

package vmgen

import (
	"context"
	"errors"
)

// WatchSet returns errors.ErrUnsupported: this system does not tell when its clock is set.
func WatchSet(context.Context, func()) error { return errors.ErrUnsupported }
