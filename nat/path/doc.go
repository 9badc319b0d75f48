// Package path brings up, watches and gives up the direct path to a peer. Its
// Machine owns no socket, no goroutine and no clock: every call takes the time, and
// the packets to send come back as a list. States, times and limits are written down
// in docs/NAT.md.
//
// The words are those of RFC 8445 (ICE) where it has one. A remote candidate is an
// address at which the peer may be; here it is called a remote. An attempt is one
// run of connectivity checks over all of them, which are PINGs. A remote that
// answers is nominated: it gets PINGs as large as data. One that answers those is
// selected, and frames go there. The relayed path leads through a supernode,
// which carries the frames meanwhile; a relayed candidate is one that a TURN server
// allocated.
//
// Nothing here authenticates anything. A caller hands in only packets that a session
// has opened; the Machine adds that an address is selected only after a PONG came from
// that very address.
package path
