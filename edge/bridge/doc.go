// Package bridge is what an edge needs to be a bridge in the sense of IEEE 802.1Q: it
// joins LANs into one, so that frames pass it whose source is neither its own nor the
// other edge's.
//
// A station is whoever has a hardware address on a LAN behind an edge. An edge is what
// IEEE 802.1Q calls a port: a station is behind one. What the standard leaves to a
// spanning tree, or does not know because its ports have no enemies, is said where it
// is done.
//
// The package holds machines and no more: it has no sockets, no goroutines and no clock,
// and writes no log. Time comes in as nanoseconds since the edge started. The queues
// of package dataplane call a machine for the frames that it concerns, several at once
// and without an allocation; the control loop, package edge, calls it for what is due.
// Each machine names its bounds, because whoever is behind an edge decides what it has to
// remember.
//
//	FDB      the forwarding database: which edge a station is behind
//	Seeks    says which stations are looked for on our own LAN
//	Storm    limits what each station, and each edge, may flood
//	Parsed   is a frame and where its parts are: whoever asks something of it asks this
//	Proxy    answers questions for addresses of stations behind other edges
//	Rights   are what an edge lets another one do, by the word of its user (Whom)
//	Filter   says which frames are carried at all
//	Sockets  knows our own datagrams in a frame
//	Groups   knows who has joined which multicast groups, and asks
//	Forwarder elects the one bridge of a segment that passes frames
//	Prober   makes the frames that it is elected by
//	Tags     says in which VLANs a bridge sends them
//	Gate     is what the queues ask: whether frames pass, and which probes count
package bridge
