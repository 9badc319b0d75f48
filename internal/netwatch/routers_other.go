//go:build !linux

package netwatch

import (
	"context"
	"errors"
	"time"

	"hedgerow/nat/nat64"
)

// Routers fails: this system does not tell of router advertisements.
func Routers(context.Context, func(p nat64.Prefix, lifetime time.Duration)) error {
	return errors.ErrUnsupported
}
