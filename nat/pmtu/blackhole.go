package pmtu

import "time"

// WatchEvery is the time between the packets that watch the size of a direct
// path.
const WatchEvery = 2 * time.Second

// How a black hole is found: a path that from some moment on swallows large packets
// and lets small ones through, so that heartbeats see nothing and every
// full segment is lost. The worst case is 2 s until the next packet is sent,
// and with the shortest timeout 0.9 s until five in a row are missed. As many
// are needed so that mere loss does not look like it: of packets that come back
// four times in five, five in a row are lost once in two hours.
const (
	watchGap   = 100 * time.Millisecond // between packets once one is missed
	watchLost  = 5                      // in a row
	watchSmall = 2                      // small ones that came back meanwhile
)

// watch is the state of the packets that watch the present size.
type watch struct {
	next    time.Time // when the next one is sent, or the last one is missed; zero: at once
	waiting bool      // for an answer
	lost    int       // in a row
	small   int       // small ones that came back since the first was lost
}

// watches reports whether the present size is watched. When it is being found
// out anew there is none.
func (d *Discovery) watches() bool { return d.phase == phaseSearch || d.phase == phaseComplete }

// pollWatch sends a packet of the present size now and then. When one is missed
// more follow at once, with small ones: where those are lost, too, the whole path
// may be dead, which is not for us to find out.
func (d *Discovery) pollWatch(now time.Time, timeout time.Duration) {
	w := &d.watch
	if !d.watches() || now.Before(w.next) {
		return
	}
	if w.waiting {
		if w.lost++; w.lost == 1 {
			w.small = 0
		}
	}
	if w.lost == watchLost {
		fell := w.small >= watchSmall
		*w = watch{next: now.Add(d.every)}
		if fell {
			d.fall()
		}
		return
	}
	wait := timeout
	if w.lost > 0 {
		d.ask(0)
		if w.lost < watchLost-1 {
			wait = watchGap
		}
	}
	w.waiting, w.next = true, now.Add(wait)
	d.ask(d.size)
}
