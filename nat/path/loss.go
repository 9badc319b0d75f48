package path

import "math/bits"

// LossWindow is how many pings a Loss remembers.
const LossWindow = 20

// Loss counts how many of the last pings over one path were answered. The zero
// value has seen none.
type Loss struct {
	lost uint32 // a bit for each, the last one lowest
	n    uint8
}

// Add notes that a ping was answered, or that its time is over.
func (l *Loss) Add(answered bool) {
	l.lost = l.lost << 1 & (1<<LossWindow - 1)
	if !answered {
		l.lost |= 1
	}
	l.n = min(l.n+1, LossWindow)
}

// late notes that the last ping which was counted as lost was only late.
func (l *Loss) late() { l.lost &= l.lost - 1 }

// Count returns how many of the last pings had no answer, and how many pings that
// is about, at most LossWindow.
func (l Loss) Count() (lost, of int) { return bits.OnesCount32(l.lost), int(l.n) }
