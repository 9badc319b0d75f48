//go:build !linux

package netwatch

import "errors"

// listener is never made: these systems are polled.
type listener struct{ events chan struct{} }

func (l *listener) close() {}

// listen fails: this system sends no events.
func listen() (*listener, error) { return nil, errors.ErrUnsupported }
