//go:build unix

package durable

import (
	"errors"
	"syscall"
)

// cannotSync reports whether the file system does not know how to sync a directory,
// as some network file systems and those in user space do not (fsync(2): EINVAL).
func cannotSync(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}
