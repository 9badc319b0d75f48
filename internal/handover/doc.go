// Package handover replaces a running process by another one that goes on with its open
// files and its state, so that nobody outside notices.
//
// The predecessor starts the successor (Start) with descriptors of its files and one end
// of a pair of connected sockets. What follows is said over those:
//
//	successor    ready     "I have everything but the state, and speak this version"
//	predecessor  state     after it has stopped to read, to send and to change anything
//	successor    taken     "I have it and serve from now on"
//	successor    failed    instead of either: why it cannot
//	predecessor  (closes)  it has let go of what two processes cannot have
//
// Exactly one of the two serves, whatever happens to the other. The successor serves once
// it could send taken. A predecessor that waits no longer first closes its end for
// reading and then looks whether taken has come: after that no taken can be sent.
//
// The state is never on disk: it goes through the pair of sockets, which nobody else has.
// Each message is
//
//	kind u8 | length u32, big-endian | bytes
//
// It works on Linux.
package handover
