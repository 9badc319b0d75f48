package service

import (
	"net"
	"os"
)

// Activated are sockets that the service manager has opened for this process. They stay open:
// who uses one makes a copy of its descriptor.
type Activated []Socket

// Socket is one of them.
type Socket struct {
	Name   string // that its unit gives it
	Stream bool   // connections come to it, else datagrams
	File   *os.File
}

// Find returns the first socket of a kind and a name, or of any name but that; nil: there is
// none.
func (a Activated) Find(stream bool, name string, but bool) *os.File {
	for _, s := range a {
		if s.Stream == stream && (s.Name == name) != but {
			return s.File
		}
	}
	return nil
}

// All returns all sockets of a kind, but those of a name.
func (a Activated) All(stream bool, but string) (list []*os.File) {
	for _, s := range a {
		if s.Stream == stream && s.Name != but {
			list = append(list, s.File)
		}
	}
	return list
}

// Address returns where a socket listens; nil: that is not to be had.
func (s Socket) Address() net.Addr {
	if s.Stream {
		if l, err := net.FileListener(s.File); err == nil {
			defer l.Close()
			return l.Addr()
		}
		return nil
	}
	c, err := net.FilePacketConn(s.File)
	if err != nil {
		return nil
	}
	defer c.Close()
	return c.LocalAddr()
}
