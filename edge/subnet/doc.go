// Package subnet decides to which networks behind other edges an edge sends packets.
// What an edge announces is a wish: a member may not say which part of the internet, of
// the receiver's own network or of the underlay leads to it.
//
// The package has no sockets, no goroutines and no clock: the control loop gives it what
// was announced and what this host is, and takes the answer to the kernel.
package subnet
