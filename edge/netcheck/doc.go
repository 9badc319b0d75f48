// Package netcheck finds out how the network in front of a host treats UDP, and
// says what that means for an edge there: whether direct links will come about,
// and what would help. It needs no running edge, no rights and nobody's word but
// that of the servers that it asks.
//
// All it sends are STUN Binding requests (RFC 8489), to supernodes and STUN
// servers, from sockets of its own; what is measured with them is described by
// RFC 5780:
//
//   - the address and port that each server sees, from one socket: the mapping
//     behaviour (section 4.3);
//   - what comes from a port that was not asked: the filtering behaviour (4.4).
//     It takes a second address of the server to tell endpoint-independent from
//     address-dependent filtering. Supernodes have one, and to an edge both are
//     good;
//   - the ports that new sockets get, one after the other;
//   - whether what goes to our own public address comes back (hairpin);
//   - round trips, losses, and the longest packet that comes through whole.
//
// Streams and port mappings are tried by functions that the caller brings. A
// figure that was not measured is not in the report.
//
// A supernode answers 64 requests a second of one address. It gets fewer.
package netcheck
