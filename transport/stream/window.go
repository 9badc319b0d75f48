package stream

import (
	"sync"
	"time"
)

const (
	// A window begins with windowFirst, and stays within the other two, in bytes.
	windowFirst = 32 << 10
	windowLeast = 16 << 10
	windowMost  = 16 << 20
	// leastMessage is the room in bytes that the writer waits for: a packet of any
	// length, and as much again for short ones.
	leastMessage = 2 * (MaxPacket + lengthLen)
	// delayMost is how long the bytes on their way may delay those behind them.
	delayMost = 100 * time.Millisecond
	// A ping follows an eighth of the window, or pingBytes; pingsMost are on their
	// way at most.
	pingBytes = 4 << 10
	pingsMost = 16
	// baseAge is how long the shortest round trip time is believed.
	baseAge = 10 * time.Second
	// patience is how long a full window waits for the first answer to a ping, and
	// instead of a ping that could not be sent.
	patience = 5 * time.Second
)

// window bounds the bytes that are on their way to the other end of a stream, in
// buffers of this host, of routers and of proxies alike. TCP alone fills them all: the
// buffer of a home router holds seconds of what its line carries, and nothing that is
// sent later is there earlier, however urgent. What does not fit the window waits in
// the queue, where short packets go ahead and old ones are dropped.
//
// A ping of the WebSocket (RFC 6455, section 5.5.2) follows the bytes, and its answer
// says that they arrived. Every other way to know asks a kernel, which knows its own
// connection and not what is behind a proxy.
//
// The window is adjusted once a round trip, by the shortest round trip time of the
// round, as LEDBAT does (RFC 6817): it grows while this is less than half of delayMost
// above the base, the shortest for a while, and shrinks when it is more than delayMost
// above. Until the line was full for the first time it doubles, and then grows by an
// eighth. So that a longer path is not taken for a full one for ever, the base is
// measured anew every baseAge, with windowLeast on the way.
type window struct {
	changed chan struct{} // holds a token when the writer should look

	mu            sync.Mutex
	size          int
	sent, arrived uint64 // bytes; arrived is known from answers
	pinged        uint64 // what was sent before the last ping
	pings         int    // on their way
	limited       bool   // it was full in this round
	steady        bool   // the line was full once
	round         round
	base          time.Duration
	based         time.Time // when base was measured; zero: never
	draining      bool      // base is being measured anew
	unanswered    bool      // the first ping was not in time: there is no bound
	ending        bool      // the stream is: there is no bound
}

// round is what is known of a round trip: it ends when bytes have arrived that were
// sent after its start.
type round struct {
	from  uint64 // sent when it began
	acked int
	least time.Duration // the shortest round trip time; valid with acked
}

// pingOut is a ping that is on its way.
type pingOut struct {
	at      time.Time
	sent    uint64 // the bytes before it
	drained bool   // few enough to measure the base
}

func newWindow() *window {
	return &window{changed: make(chan struct{}, 1), size: windowFirst}
}

// room returns how many bytes may be written now: leastMessage to maxMessage, or 0.
func (w *window) room() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unanswered || w.ending {
		return maxMessage
	}
	size := w.size
	if w.draining {
		size = windowLeast
	}
	n := size - int(w.sent-w.arrived)
	if n < leastMessage {
		w.limited = true
		return 0
	}
	return min(n, maxMessage)
}

// rtt returns the round trip time without load; 0: not known.
func (w *window) rtt() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base
}

// wrote notes bytes that were written. due: a ping should follow them.
func (w *window) wrote(n int, now time.Time) (p pingOut, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent += uint64(n)
	step := max(w.size/8, pingBytes)
	if w.draining {
		step = pingBytes
	}
	if w.unanswered || w.pings >= pingsMost || w.sent-w.pinged < uint64(step) {
		return pingOut{}, false
	}
	return w.ping(now), true
}

// full is called when the writer waits because there is no room. due: a ping should
// be sent, since none is on its way.
func (w *window) full(now time.Time) (p pingOut, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pings > 0 {
		return pingOut{}, false
	}
	return w.ping(now), true
}

// ping makes a ping. The caller holds w.mu.
func (w *window) ping(now time.Time) pingOut {
	w.pings++
	w.pinged = w.sent
	return pingOut{at: now, sent: w.sent, drained: w.draining && w.sent-w.arrived <= windowLeast}
}

// tired is called when the writer has waited for as long as patience. An end that
// never answered does not, or something on the way keeps it from that: it is sent to
// as fast as TCP goes, until it answers.
func (w *window) tired() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unanswered = w.based.IsZero()
}

// release has the window bound nothing any more.
func (w *window) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = true
	w.wake()
}

// lost notes a ping that could not be sent.
func (w *window) lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pings--
}

// answered notes the answer to a ping.
func (w *window) answered(p pingOut, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pings--
	w.unanswered = false
	rtt := now.Sub(p.at)
	drained := w.draining && p.drained
	if w.based.IsZero() || rtt <= w.base || drained {
		w.base, w.based, w.draining = rtt, now, false
	}
	if drained { // what it took says nothing of the size
		w.arrived = max(w.arrived, p.sent)
		w.round, w.limited = round{from: w.sent}, false
		w.wake()
		return
	}
	if p.sent <= w.arrived {
		return // a later one has said so before
	}
	if w.round.acked == 0 || rtt < w.round.least {
		w.round.least = rtt
	}
	w.round.acked += int(p.sent - w.arrived)
	w.arrived = p.sent
	if p.sent > w.round.from {
		w.adjust(now)
		w.round = round{from: w.sent}
	}
	w.wake()
}

// adjust sets the size at the end of a round. The caller holds w.mu.
func (w *window) adjust(now time.Time) {
	if w.draining {
		return
	}
	switch delay := w.round.least - w.base; {
	case delay > delayMost:
		share := float64(w.base+delayMost) / float64(w.round.least)
		w.size = max(int(float64(w.size)*max(share, 0.5)), windowLeast)
		w.steady = true
	case delay > delayMost/2:
		w.steady = true
	case w.limited && !w.steady:
		w.size = min(w.size+w.round.acked, windowMost)
	case w.limited:
		w.size = min(w.size+w.size/8, windowMost)
	}
	w.draining = w.limited && now.Sub(w.based) > baseAge
	w.limited = false
}

// wake leaves a token unless there is one.
func (w *window) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
