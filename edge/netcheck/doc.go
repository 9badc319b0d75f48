// Package netcheck measures how the network in front of a host treats UDP, and
// derives what that means for an edge there: whether direct paths will come
// about, and what would help. It needs no running edge and no privileges, and
// relies only on the servers that it asks.
//
// It sends nothing but STUN Binding requests (RFC 8489), to supernodes and STUN
// servers, from sockets of its own. RFC 5780 describes the measurements:
//
//   - the address and port that each server sees, from one socket: the mapping
//     behaviour (section 4.3);
//   - the answers from a port that was not asked: the filtering behaviour (4.4).
//     It takes a second address of the server to distinguish endpoint-independent
//     from address-dependent filtering. Supernodes have one address, and an edge
//     can work with both;
//   - the ports that new sockets get, one after the other;
//   - whether a packet to our own public address comes back (hairpin);
//   - round trips, losses, and the longest packet that comes through whole.
//
// The caller passes functions that try streams and port mappings. A figure that
// was not measured is not in the report.
//
// A supernode answers 64 requests a second of one address. It gets fewer.
package netcheck
