package sim

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Two members on a LAN that fell apart have no session any more when it is whole again. The
// first frame goes by relay, and the handshake by the LAN, which is faster: the session
// stands, and the sender has vouched for its salt in it, while that frame is on its way. It
// arrives all the same.
func TestFirstFrameIsOvertaken(t *testing.T) {
	for _, away := range []time.Duration{4 * time.Minute, 9 * time.Minute} {
		for _, from := range []int{0, 1} {
			t.Run(fmt.Sprint(away, from), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNeighbours(t, true)
					defer n.end()
					n.sn.Start()
					defer n.sn.Stop()
					n.Net.SetDelay(20 * time.Millisecond)
					n.join()
					n.join()
					time.Sleep(time.Second)
					f := n.flow(from, 1-from)
					f.For(5*time.Second, 50*time.Millisecond)
					n.lan.Split(lanAddr(1))
					time.Sleep(away)
					n.lan.Split()
					f.Send()
					time.Sleep(time.Second)
					if lost, twice := f.Lost(0, f.Len()), f.Twice(); len(lost) > 0 || len(twice) > 0 {
						t.Errorf("lost %s, twice %s, of %d", brief(lost), brief(twice), f.Len())
					}
				})
			})
		}
	}
}
