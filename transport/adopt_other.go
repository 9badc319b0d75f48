//go:build !linux

package transport

import (
	"errors"
	"fmt"
	"os"
)

// File returns errors.ErrUnsupported: only on Linux does a socket outlive its process.
func (u *UDP) File() (*os.File, error) {
	return nil, fmt.Errorf("hand a UDP socket on: %w", errors.ErrUnsupported)
}

// AdoptUDP returns errors.ErrUnsupported, likewise.
func AdoptUDP(*os.File, Options) (*UDP, error) {
	return nil, fmt.Errorf("use a UDP socket that is open: %w", errors.ErrUnsupported)
}

// Guard returns nil: no socket has one.
func (u *UDP) Guard() (*os.File, error) { return nil, nil }

// AdoptUDPGroup returns errors.ErrUnsupported.
func AdoptUDPGroup([]*os.File, *os.File, Options) ([]*UDP, error) {
	return nil, fmt.Errorf("use UDP sockets that are open: %w", errors.ErrUnsupported)
}
