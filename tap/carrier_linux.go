package tap

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// carrier is the ioctl that sets the carrier (TUNSETCARRIER, Linux from 5.0 on).
func carrier(fd int, up bool) syscall.Errno {
	value := 0
	if up {
		value = 1
	}
	return errnoIn(unix.IoctlSetPointerInt(fd, unix.TUNSETCARRIER, value))
}

// SetCarrier plugs the interface in or out: without a carrier the kernel sends nothing
// through it and takes its routes away, and programs that listen to the kernel know that
// the far end cannot be reached. It needs no privilege.
func (d *Device) SetCarrier(up bool) error {
	q := d.queues[0]
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.fd < 0 {
		return ErrClosed
	}
	if errno := carrier(q.fd, up); errno != 0 {
		return fmt.Errorf("cannot set the carrier of %s: %w", d.cfg.Name, errno)
	}
	return nil
}
