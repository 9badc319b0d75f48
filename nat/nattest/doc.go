// Package nattest is an internet in memory, with routers that translate
// addresses as RFC 4787 describes, for tests under testing/synctest.
//
// A public Host has addresses of its own; a Router has one public address and
// hosts, or further routers, behind it. From IPv6 hosts reach IPv4 by a NAT64. A
// Conn has the methods of the connections of package transport. Datagrams take a
// fixed time through the public internet and much less inside one LAN, and the
// public internet may lose them, drop what is too big for it or for one path, or
// drop what a test names.
//
// A LAN is a broadcast domain with losses, copies and partitions of its own. What
// stands beside the sockets of a host has a double here: Multicast for the
// announcements on a LAN, Mapper for the mappings that routers are asked for,
// Host.Watch for changes of the host's network, Stream for TCP, and PacketConn for
// who takes sockets of package net.
//
//	n := nattest.New(1)
//	defer n.Close()
//	server := n.Host(netip.MustParseAddr("198.51.100.1"))
//	home := n.Router(netip.MustParseAddr("203.0.113.1"), nattest.PortRestricted)
//	edge := home.Host(netip.MustParseAddr("192.168.1.2"))
//
// One lock, one heap of datagrams in flight and one timer carry all of it, and
// buffers are used again, so that hours of traffic take seconds. Nothing waits
// but on channels and that timer: to synctest a reader is durably blocked. All
// methods may be called from several goroutines.
package nattest
