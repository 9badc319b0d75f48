// Package pmtu finds the largest IP packet that a path carries, and notices when
// the path stops to carry it: Datagram Packetization Layer Path MTU Discovery
// (RFC 8899). No ICMP is needed, which a black hole does not send and anybody can
// forge: only packets that came back count.
package pmtu
