//go:build !linux

package vmgen

import (
	"context"
	"errors"
)

// Watch fails: nothing of this system is known to tell of new generations.
func Watch(context.Context, func()) error {
	return errors.New("this system does not tell of generations of the virtual machine")
}
