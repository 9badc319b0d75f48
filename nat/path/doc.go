// Package path brings up, watches and gives up the direct path to a peer. Its
// Machine owns no socket, no goroutine and no clock: every call takes the time, and
// what is to be sent comes back as a list. States and times are written down in
// docs/NAT.md.
//
// Nothing here authenticates anything. A caller hands in only what a session has
// opened; the machine adds that an address is used for traffic only after a PONG
// came from that very address.
package path
