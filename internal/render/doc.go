// Package render turns the documents of edge/control and supernode/admin, and the
// events of an edge, into text for their users. The commands and whatever else shows an
// edge or a supernode share it, so that one state has one wording.
//
// It knows documents only: it imports neither the edge nor the supernode, asks
// no process, and holds no state but a Reporter's and that of a Pings.
package render
