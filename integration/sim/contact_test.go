package sim

import (
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/protocol"
)

// A member whose clock is far behind ours floods its first frame: its salt is older
// than those that count for themselves, so the supernode is asked who it is, and the
// handshake follows at once, by which the salt counts and the frame is delivered.
// No INIT gets lost because the path to the peer was not settled yet.
func TestFirstHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(t, Beside{}, func(o *Options) { o.ClockOffset = -50 * time.Minute }, nil)
		defer r.end()
		for _, quiet := range []time.Duration{0, 25 * time.Minute} { // peers are forgotten after 10
			time.Sleep(quiet)
			all := r.Flow(r.left, protocol.Broadcast, &r.sinks[1])
			sent := time.Now()
			all.Send()
			time.Sleep(3 * time.Second)
			within(t, "the first frame", all.Resumed(sent), 0, 6*roundTrip)
		}
	})
}
