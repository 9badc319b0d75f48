// Package trains finds out whether a path carries trains: datagrams that leave in one
// message, to be cut apart by the network card (UDP_SEGMENT). Some drivers, virtual
// machines and tunnels damage or lose those, and carry each datagram that leaves alone.
//
// Like its neighbours it has no socket and no clock: it says what to send and is told what
// came back. A train of pings goes over the path. If most are lost, the same pings go one
// by one, as fast: where those come back it is the train that was lost, and not a queue
// that was full. Two such findings in a row end trains for the path.
package trains

import "time"

// Count is how many pings go at once: as many full ones as fit the room that the control
// loop sends from.
const Count = 10

const (
	enough   = Count / 2     // answers to a train: the path carries trains
	sure     = Count * 3 / 4 // answers to single pings: the path carries those
	findings = 2             // in a row that change the verdict

	firstCheck = time.Second      // after the path began to be used
	mostCheck  = 64 * time.Second // between checks of a path that carries trains; they double
	firstRetry = time.Minute      // after trains have ended; doubling
	mostRetry  = time.Hour
)

// Ask is what a Poll wants to be sent: Count pings of full size.
type Ask uint8

const (
	// None is nothing.
	None Ask = iota
	// Train is all of them as one train.
	Train
	// Single is one by one.
	Single
)

// Watch watches one path. Its zero value is a path that is believed to carry trains.
type Watch struct {
	ended    bool
	asked    Ask // what waits for answers
	answers  int
	findings int           // in a row against the verdict
	wait     time.Duration // until the next check, when that is set anew
	next     time.Time     // zero: not set
}

// Ended reports whether the path loses trains, so that none are to be sent over it.
func (w *Watch) Ended() bool { return w.ended }

// Poll says what to send now. timeout is how long to wait for answers. used says that the
// path has carried much since the last check: else none begins, and a path without traffic
// has no Deadline.
func (w *Watch) Poll(now time.Time, timeout time.Duration, used bool) Ask {
	if w.next.IsZero() && used {
		w.next = now.Add(max(w.wait, firstCheck))
	}
	if !w.due(now) {
		return None
	}
	switch {
	case w.asked == Train && w.answers < enough && !w.ended:
		return w.send(now, timeout, Single)
	case w.asked == Train:
		w.found(now, w.answers >= enough)
	case w.asked == Single && w.answers >= sure:
		w.found(now, false)
	case w.asked == Single: // the path loses packets, which says nothing of trains
		w.findings = 0
		w.Pause()
	}
	if !w.due(now) {
		return None
	}
	return w.send(now, timeout, Train)
}

// due reports whether there is something to do.
func (w *Watch) due(now time.Time) bool { return !w.next.IsZero() && !now.Before(w.next) }

// send begins to wait for the answers to what it returns.
func (w *Watch) send(now time.Time, timeout time.Duration, ask Ask) Ask {
	w.asked, w.answers, w.next = ask, 0, now.Add(timeout)
	return ask
}

// found notes whether the path carried a train.
func (w *Watch) found(now time.Time, carried bool) {
	w.asked = None
	if carried != w.ended { // as was believed
		w.findings = 0
		w.postpone()
		return
	}
	if w.findings++; w.findings < findings {
		w.next = now
		return
	}
	w.ended, w.findings, w.wait = !carried, 0, 0
	w.postpone()
}

// postpone lets the next check wait twice as long as the last, from when the path is used.
func (w *Watch) postpone() {
	first, most := firstCheck, mostCheck
	if w.ended {
		first, most = firstRetry, mostRetry
	}
	w.wait, w.next = min(max(2*w.wait, first), most), time.Time{}
}

// Answered notes that one of the pings that were sent last has come back.
func (w *Watch) Answered() { w.answers++ }

// Deadline returns when Poll has something to do next, the zero time for not before the
// path is used.
func (w *Watch) Deadline() time.Time { return w.next }

// Pause forgets what was sent, and when the next check is: the path is not there now.
func (w *Watch) Pause() { w.asked, w.next = None, time.Time{} }
