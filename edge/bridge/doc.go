// Package bridge has the machines by which an edge is a bridge of IEEE 802.1Q: what it
// learns from frames and decides about them. They have no sockets, goroutines or clocks.
package bridge
