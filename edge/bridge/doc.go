// Package bridge has what an edge needs in order to stand before a LAN as a bridge
// of IEEE 802.1Q does, and to live beside others that do: machines without sockets,
// goroutines and clocks. Time is an argument. The queues of package dataplane call
// them for the frames that they concern, several at a time and without allocating;
// the control loop reads what they found.
//
//	Storm    limits what each host, and each edge, may flood
//	Judged   tells which frames say who has an address, or serve addresses
//	Read     says what such a frame claims
//	Rights   are what an edge lets another one do, by the word of its user (Whom)
//	Filter   says which frames are carried at all
//	Sockets  knows our own datagrams in a frame
//	Forwarder elects the one bridge of a segment that passes frames
//	Prober   makes the frames that it is elected by
//	Gate     is what the queues ask: whether frames pass, and which probes count
package bridge
