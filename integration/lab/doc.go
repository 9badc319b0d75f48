// Package lab builds a small internet out of Linux network namespaces: public
// hosts, home routers with a chosen NAT behaviour, hosts behind them, and the
// routing internet between. Tests, demonstrations and benchmarks run the real
// commands inside it.
//
//	l, err := lab.New("demo")
//	defer l.Close()
//	sn, err := l.Host("sn", "203.0.113.1", "2001:db8:1::1")
//	home, err := l.Router("home", "198.51.100.7", lab.PortRestricted)
//	alice, err := home.Host("alice")                  // 192.168.1.10
//	err = alice.Command(ctx, "ping", "-c1", "203.0.113.1").Run()
//
// # Nothing is left behind
//
// A namespace of the lab has no name in the file system. It lives as long as
// this process holds its file descriptor and one thread inside it, so the
// kernel removes it, with all its links, rules and conntrack entries, when the
// process ends, however it ends. A veth pair is made with both ends in their
// namespaces: no link of the lab is ever seen in the namespace of the caller,
// and two labs never collide. Commands are killed by the kernel when the thread
// that started them ends.
//
// # Shape
//
// The internet is a router, not a bridge, so that a TTL means what it means in
// the field: every host and every router hangs on its own veth pair, and a
// datagram from one home to another crosses three routers. Public addresses are
// /32 and /128 (every pair of ends is a network of its own). A home network is
// a bridge in the router's namespace, so that hosts of one home share a real
// Ethernet segment; two homes may use the same prefix. The home of a Carrier is
// made of the routers of its subscribers. How a router translates is its Kind.
//
// # Faults and measurements
//
// Internet and Router lose, limit, block and count the datagrams that they
// forward (Forwarding), and Capture records a link. A Router reboots, gets
// another address or a line of a rate, and isolates its hosts; a Host is
// unplugged and plugged in elsewhere while its programs run.
//
// A veth carries segmented super-packets unless the lab turns that off. Whatever
// looks at single datagrams (SetLoss, SetPolicer, SetSizeHole, Capture) turns the
// offloads of the whole lab off and checks it, since it would see one packet
// where there are many. Measure throughput in a lab without any of these. There
// is no delay: packets arrive at once. The internet is one hop, unless SetHops
// makes it longer.
//
// The lab needs root (or root inside a user namespace of its own), nf_tables,
// nf_conntrack, veth and bridge in the kernel, and no program at all.
package lab
