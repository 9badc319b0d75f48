package control

// Counters is what the data path of an edge has done since it started, as GET
// /api/v1/counters returns it. Quotients of them say how well batching works:
// datagrams by sends is the mean length of what one call of the system sent.
type Counters struct {
	// Queues are the pairs of a device queue and a socket.
	Queues []QueueCounters `json:"queues"`
	// Long is what was done to frames that do not fit their path whole.
	Long LongCounters `json:"long"`
	// Drops counts dropped frames and datagrams by reason.
	Drops map[string]uint64 `json:"drops"`
}

// LongCounters counts frames that are too long for a path, and how that was
// avoided.
type LongCounters struct {
	// Cut are frames that left in pieces, Pieces what they became, and Joined
	// frames that came in pieces. Segments of super-frames are not among them:
	// those are made to fit.
	Cut    uint64 `json:"cut"`
	Pieces uint64 `json:"pieces"`
	Joined uint64 `json:"joined"`
	// Clamped are TCP connection requests and answers in which the largest
	// segment was lowered to what fits the path.
	Clamped uint64 `json:"clamped"`
}

// QueueCounters is what one queue has done.
type QueueCounters struct {
	// Sleeps is how often the queue found nothing to do and waited.
	Sleeps uint64 `json:"sleeps"`
	// Frames is the side of the device; absent when it does not count.
	Frames *FrameCounters `json:"frames,omitempty"`
	// Datagrams is the side of the socket; absent when it does not count.
	Datagrams *DatagramCounters `json:"datagrams,omitempty"`
}

// FrameCounters counts at a device queue. In is from the host to the edge.
type FrameCounters struct {
	// Reads and Writes are calls of the system.
	Reads  uint64 `json:"reads"`
	Writes uint64 `json:"writes"`
	// In and Out are frames, a super-frame counting once.
	In  uint64 `json:"in"`
	Out uint64 `json:"out"`
	// SuperIn and SuperOut are the super-frames among them.
	SuperIn  uint64 `json:"super_in"`
	SuperOut uint64 `json:"super_out"`
}

// DatagramCounters counts at a socket. In is from the network to the edge.
type DatagramCounters struct {
	// Reads and Writes are calls of the system that moved something.
	Reads  uint64 `json:"reads"`
	Writes uint64 `json:"writes"`
	// In and Out are datagrams, those of trains each.
	In  uint64 `json:"in"`
	Out uint64 `json:"out"`
	// TrainsIn and TrainsOut are messages of several datagrams (UDP_GRO,
	// UDP_SEGMENT).
	TrainsIn  uint64 `json:"trains_in"`
	TrainsOut uint64 `json:"trains_out"`
	// GSORefused are trains that the kernel refused and that were sent datagram
	// by datagram.
	GSORefused uint64 `json:"gso_refused"`
	// Waits is how often a send waited for room, Dropped the datagrams for which
	// there was none.
	Waits   uint64 `json:"waits"`
	Dropped uint64 `json:"dropped"`
}
