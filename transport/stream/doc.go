// Package stream carries packets over TCP where UDP is blocked: TLS, in it a
// WebSocket (RFC 6455), in that binary messages of one or more packets, each
// after its length as a u16 in network byte order. The packets are those of UDP,
// sealed and masked as there; this package does not know what they mean.
//
// A Conn is the edge's end, made by Dial; a Server holds the supernode's ends.
// Both deliver what arrives through a callback, and both have a Send that never
// blocks. So a stream fits beside a UDP socket as a side transport of package
// transport.
//
// A stream passes through whatever lets HTTPS pass: a proxy's CONNECT (RFC 9110,
// section 9.3.6), and a reverse proxy that forwards WebSockets. Ping frames keep
// middleboxes from forgetting the connection.
//
// # Trust
//
// TLS gets packets through firewalls; it is not trusted. Dial accepts any
// certificate: a supernode's own, which no authority has signed, a reverse
// proxy's, or that of a middlebox that reads along. The end of the TLS
// connection sees and can do what every router on the path sees and can do with
// UDP: the handshake inside (Noise IK to the supernode's pinned key, or to the
// one that a HELLO learns on first use) authenticates the supernode and seals
// everything after it.
//
// # Bounds
//
// A queue of 256 KiB stands before each writer, and one of 64 KiB for short packets,
// which go ahead; no caller waits. When it is full the newest packets are dropped, and
// before that those that have waited for too long: over TCP as over UDP, what carries
// bulk learns by loss that the line is full. A window bounds what has left the queue
// and not arrived, so that the queue and not a buffer behind it is where packets wait,
// and a ping beside bulk is answered. Every
// connection, its handshakes and its silence end after a time, and a Server
// bounds the connections in all and of one source.
package stream
