package render

import (
	"fmt"
	"strings"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// Pings writes the pings to one peer, one after the other, and their sum. It
// remembers what was written, so that changes are pointed out and reasons are given
// once. Its zero value is ready.
type Pings struct {
	rtts    spread
	last    control.Ping // the last one that was answered
	reason  string       // as last written
	changes []string     // of the path, in words
}

// spread is what is shown of the round trips, in milliseconds.
type spread struct {
	n                int
	least, sum, most float64
}

func (s *spread) add(ms float64) {
	if s.n == 0 || ms < s.least {
		s.least = ms
	}
	s.n++
	s.sum += ms
	s.most = max(s.most, ms)
}

// Line writes one ping, the seq-th of all, answered or given up at a time after the
// first one was sent.
func (s *Pings) Line(p control.Ping, seq int, after time.Duration) string {
	change := ""
	if p.Answered {
		if p.RTTms != nil {
			s.rtts.add(*p.RTTms)
		}
		change = s.change(p, after)
		s.last = p
	}
	return format.Printable(strings.TrimRight(pingText(p, seq)+change+s.because(p), " "))
}

// Received returns the number of pings that were answered.
func (s *Pings) Received() int { return s.rtts.n }

// Last returns the last ping that was answered, or a zero one.
func (s *Pings) Last() control.Ping { return s.last }

// Sum writes what there is to say in the end about the number of pings that were sent.
func (s *Pings) Sum(sent int) string {
	text := fmt.Sprintf("%d sent, %d received", sent, s.rtts.n)
	if n := s.rtts.n; n > 0 {
		text += fmt.Sprintf(", round trips %.1f / %.1f / %.1f ms (least, mean, most)", s.rtts.least, s.rtts.sum/float64(n), s.rtts.most)
	}
	for _, c := range s.changes {
		text += ". " + c
	}
	return format.Printable(text)
}

// change marks an answer that came by another path than the one before.
func (s *Pings) change(p control.Ping, after time.Duration) string {
	before, now := pingPath(s.last.PathStatus), pingPath(p.PathStatus)
	if s.last.Path == "" || before == now {
		return ""
	}
	from, to := pathWord(s.last.PathStatus), pathWord(p.PathStatus)
	if from == to {
		from, to = before, now
	}
	s.changes = append(s.changes, fmt.Sprintf("path changed %s -> %s after %.1f s", from, to, after.Seconds()))
	switch {
	case p.Path == control.PathDirect && s.last.Path != control.PathDirect:
		return "   <- upgraded"
	case p.Path != control.PathDirect && s.last.Path == control.PathDirect:
		return "   <- fell back"
	}
	return "   <- changed"
}

// because says why a ping did not go directly, once for each reason. When it is
// tried again next is no other reason.
func (s *Pings) because(p control.Ping) string {
	reason, _, _ := strings.Cut(p.Reason, "; next try")
	if reason == s.reason || reason == "" {
		s.reason = reason
		return ""
	}
	s.reason = reason
	return "     " + p.Reason
}

// pingText is a ping without its remarks.
func pingText(p control.Ping, seq int) string {
	path := "via " + pingPath(p.PathStatus)
	if !p.Answered || p.RTTms == nil {
		return fmt.Sprintf("%-32s seq %d  no answer", path, seq)
	}
	text := fmt.Sprintf("%-32s seq %d  %.1f ms", path, seq, *p.RTTms)
	if p.Pieces > 1 {
		text += fmt.Sprintf("  in %d pieces", p.Pieces)
	}
	return text
}

// pingPath is the path of a ping, with its other end.
func pingPath(s control.PathStatus) string {
	where := s.Endpoint
	if s.Path == control.PathRelay {
		where = hostOf(s.Via)
	}
	return strings.TrimRight(pathWord(s)+" "+where, " ")
}
