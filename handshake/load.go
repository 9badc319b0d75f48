package handshake

import "time"

// load counts INITs in whole seconds of the clock.
type load struct {
	second     int64
	count, was int
}

// add counts an INIT and returns the greater of this second's count and the last
// second's, so that a steady flood reads as one from its second second on, and not
// only late in each.
func (l *load) add(now time.Time) int {
	if t := now.Unix(); t != l.second {
		l.was = 0
		if t == l.second+1 {
			l.was = l.count
		}
		l.second, l.count = t, 0
	}
	l.count++
	return max(l.count, l.was)
}
