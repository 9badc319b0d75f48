package supernode

import "hedgerow/crypto"

// relayRun is what the relayed packets of a train have in common: most come over the
// session of the one before and go to the same member, and then nothing needs
// to be looked up. Only packets of other types, and the timers while the mutex is
// free, change the tables that it was looked up in: each of them ends the run.
type relayRun struct {
	index  uint32 // of the session in the header
	edge   *hop   // nil: no run
	handle uint32
	dst    *registration // nil: the destination is still to be looked up
	month  bool          // what the edge may send in this month was looked at, and is not used up
}

// target is where a copy of a flood goes.
type target struct {
	session *crypto.HopSession
	ends
}

// flood is one packet that is being sent to a whole community.
type flood struct {
	packet  []byte // in the buffer that it was read into
	handle  uint32 // of its sender
	targets []target
}
