//go:build !linux

package transport

// UDP is a UDP socket for IPv4 and IPv6 over the standard library. Its methods
// are safe for concurrent use: ReadBatch, WriteBatch, Wait, Ready, LocalAddr,
// ReadFaults, Counters and Close.
type UDP struct{ polled }

// ListenUDP opens a socket on every address of this host, on a port of the
// system's choice when port is 0. It serves IPv4 and IPv6, or IPv4 alone on a
// host without IPv6. Path MTU discovery stays as the system has it.
//
// When another socket has the port the error is an *InUseError.
func ListenUDP(port uint16, opts Options) (*UDP, error) {
	u := new(UDP)
	if err := u.open(port, opts); err != nil {
		return nil, err
	}
	return u, nil
}

// ListenUDPGroup opens one socket, as ListenUDP does: only Linux spreads
// datagrams between several.
func ListenUDPGroup(port uint16, n int, opts Options) ([]*UDP, error) {
	u, err := ListenUDP(port, opts)
	if err != nil {
		return nil, err
	}
	return []*UDP{u}, nil
}
