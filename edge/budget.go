package edge

import (
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// budget is a token bucket with its rate in tokens a second and its burst.
type budget struct {
	bucket.Bucket
	rate, burst float64
}

// take takes a token and reports whether there was one.
func (b *budget) take(now time.Time) bool { return b.Take(now, 1, b.rate, b.burst) }

// load tells whether handshakes come faster than they should be answered
// without a cookie.
type load struct{ calm budget }

func newLoad() load { return load{calm: budget{rate: 100, burst: 200}} }

func (l *load) busy(now time.Time) bool { return !l.calm.take(now) }

// Bounds of the hardware addresses that are being asked for.
const (
	wantedMax   = 256
	wantedAgain = 2 * time.Second
	wantedFor   = 10 * time.Second
)

// wantedMACs are hardware addresses that frames were sent to and that nobody
// is known to have.
type wantedMACs map[protocol.MAC]time.Time

// add notes an address. It reports whether it is time to ask for it.
func (w wantedMACs) add(now time.Time, mac protocol.MAC) bool {
	asked, ok := w[mac]
	if ok && now.Sub(asked) < wantedAgain {
		return false
	}
	if !ok && len(w) >= wantedMax {
		for m, asked := range w {
			if now.Sub(asked) > wantedFor {
				delete(w, m)
			}
		}
		if len(w) >= wantedMax {
			return false
		}
	}
	w[mac] = now
	return true
}

// take reports whether an address was wanted, and forgets it.
func (w wantedMACs) take(mac protocol.MAC) bool {
	_, ok := w[mac]
	delete(w, mac)
	return ok
}
