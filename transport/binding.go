package transport

import "syscall"

// A Binding keeps sockets to a part of this host's network, so that policy routing can
// tell the underlay from what goes through the overlay. The zero value binds to nothing.
type Binding struct {
	// Mark is the firewall mark of every datagram (Linux: SO_MARK, needs
	// CAP_NET_ADMIN), zero for none.
	Mark uint32
	// Interface is the only one that packets leave and come in by (Linux:
	// SO_BINDTODEVICE), empty for all.
	Interface string
}

// Control binds a socket before it is used: it is the Control of a net.Dialer or a
// net.ListenConfig. Elsewhere than on Linux it fails with errors.ErrUnsupported, unless b
// is zero.
func (b Binding) Control(_, _ string, c syscall.RawConn) error {
	if b == (Binding{}) {
		return nil
	}
	var fault error
	if err := c.Control(func(fd uintptr) { fault = b.set(int(fd)) }); err != nil {
		return err
	}
	return fault
}
