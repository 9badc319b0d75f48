package transport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// set binds a socket.
func (b Binding) set(fd int) error {
	if b.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(b.Mark)); err != nil {
			return fmt.Errorf("mark %d (needs CAP_NET_ADMIN): %w", b.Mark, err)
		}
	}
	if b.Interface == "" {
		return nil
	}
	err := unix.BindToDevice(fd, b.Interface)
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("there is no interface %s: %w", b.Interface, err)
	}
	if err != nil {
		return fmt.Errorf("interface %s (needs CAP_NET_RAW): %w", b.Interface, err)
	}
	return nil
}
