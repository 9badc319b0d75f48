// Package stream carries packets over TCP where UDP is blocked: TLS, in it a
// WebSocket (RFC 6455), in that binary messages of one or more packets, each
// after its length as a u16 in network byte order. The packets are those of UDP,
// sealed and masked as there; what they mean is not this package's business.
//
// A Conn is the edge's end, made by Dial; a Server holds the supernode's ends.
// Both hand on what arrives through a callback, and both take packets by a Send
// that never blocks. So a stream fits beside a UDP socket as one of the side ways
// of package transport.
//
// A stream is dialled through whatever lets HTTPS pass: by a proxy's CONNECT (RFC
// 9110, section 9.3.6), and to a reverse proxy that passes WebSockets on. Ping
// frames keep the tables of middleboxes from forgetting it.
//
// # Trust
//
// TLS is here the way through firewalls, and not what is trusted. Dial accepts
// any certificate: a supernode's own, which nobody has signed, a reverse proxy's,
// or that of a middlebox that reads along. Whoever ends the TLS sees and can do
// what every router on the way sees and can do with UDP: the handshake inside
// (Noise IK to the supernode's pinned key, or to the one that a HELLO learns on
// first use) authenticates the supernode and seals everything behind it.
//
// # Bounds
//
// A queue of 256 KiB stands before each writer; when it is full the newest
// packets are dropped, as a router would, and nobody waits. Every connection, its
// handshakes and its silence have an end in time, and a Server has a ceiling of
// connections in all and of one source.
package stream
