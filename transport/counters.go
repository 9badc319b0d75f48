package transport

import "sync/atomic"

// Counters are what a socket has done since it was opened.
type Counters struct {
	// Reads and Writes are the system calls that moved something.
	Reads, Writes uint64
	// Messages and MessagesOut are what those calls moved: a datagram or a train
	// each.
	Messages, MessagesOut uint64
	// Datagrams and DatagramsOut count every datagram, those of trains too.
	Datagrams, DatagramsOut uint64
	// Trains and TrainsOut are the messages of several datagrams (UDP_GRO,
	// UDP_SEGMENT).
	Trains, TrainsOut uint64
	// GSORefused are the trains that the kernel refused to take apart, for
	// another reason than the size of their datagrams, and that were sent
	// datagram by datagram instead.
	GSORefused uint64
	// Waits is how often a write waited for room.
	Waits uint64
	// Dropped are the datagrams given up because there was still no room then.
	Dropped uint64
}

// counters are Counters while they are counted.
type counters struct {
	reads, messages, datagrams, trains           atomic.Uint64
	writes, messagesOut, datagramsOut, trainsOut atomic.Uint64
	gsoRefused, waits, dropped                   atomic.Uint64
}

// load returns the present values.
func (c *counters) load() Counters {
	return Counters{
		Reads: c.reads.Load(), Messages: c.messages.Load(), Datagrams: c.datagrams.Load(), Trains: c.trains.Load(),
		Writes: c.writes.Load(), MessagesOut: c.messagesOut.Load(), DatagramsOut: c.datagramsOut.Load(), TrainsOut: c.trainsOut.Load(),
		GSORefused: c.gsoRefused.Load(), Waits: c.waits.Load(), Dropped: c.dropped.Load(),
	}
}
