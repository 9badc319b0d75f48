// Package filelock locks files against other processes, for as long as they are open.
package filelock

import "errors"

// ErrLocked says that the file is locked already.
var ErrLocked = errors.New("locked")
