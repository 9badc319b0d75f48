package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
)

// pingSeries prints the pings of one command as they are answered, and what there
// is to say in the end.
type pingSeries struct {
	choice pingChoice
	out    io.Writer
	now    func() time.Time

	first, begun time.Time // of all, and of the last
	sent         int       // without one that was interrupted
	rtts         spread
	last         control.Ping // the last that was answered
	reason       string       // as last printed
	changes      []string     // of the path, in words
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

// pingLine is one ping as --json prints it, a line each.
type pingLine struct {
	Seq    int     `json:"seq"`
	AfterS float64 `json:"after_s"` // since the first one
	control.Ping
}

// begin notes when a ping is sent.
func (s *pingSeries) begin() {
	s.begun = s.now()
	if s.sent == 0 {
		s.first = s.begun
	}
	s.sent++
}

// direct reports whether the last answer came directly.
func (s *pingSeries) direct() bool { return s.last.Path == control.PathDirect }

// take prints what became of a ping.
func (s *pingSeries) take(p control.Ping) error {
	after := s.now().Sub(s.first)
	change := ""
	if p.Answered {
		if p.RTTms != nil {
			s.rtts.add(*p.RTTms)
		}
		change = s.change(p, after)
		s.last = p
	}
	if s.choice.json {
		enc := json.NewEncoder(s.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(pingLine{s.sent, after.Seconds(), p})
	}
	text := strings.TrimRight(s.line(p)+change+s.because(p), " ")
	_, err := fmt.Fprintln(s.out, cli.Printable(text))
	return err
}

// change marks an answer that came by another way than the one before.
func (s *pingSeries) change(p control.Ping, after time.Duration) string {
	before, now := wayText(s.last.PathStatus), wayText(p.PathStatus)
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

// line is a ping without its remarks.
func (s *pingSeries) line(p control.Ping) string {
	if !p.Answered {
		return fmt.Sprintf("%-32s seq %d  no answer", "via "+wayText(p.PathStatus), s.sent)
	}
	text := fmt.Sprintf("%-32s seq %d  %.1f ms", "via "+wayText(p.PathStatus), s.sent, *p.RTTms)
	if p.Pieces > 1 {
		text += fmt.Sprintf("  in %d pieces", p.Pieces)
	}
	return text
}

// because says why a ping did not go directly, once for each reason. When it is
// tried again next is no other reason.
func (s *pingSeries) because(p control.Ping) string {
	reason, _, _ := strings.Cut(p.Reason, "; next try")
	if reason == s.reason || reason == "" {
		s.reason = reason
		return ""
	}
	s.reason = reason
	return "     " + p.Reason
}

// wayText is the way of a ping.
func wayText(w control.PathStatus) string {
	where := w.Endpoint
	if w.Path == control.PathRelay {
		where = hostOf(w.Via)
	}
	return strings.TrimRight(pathWord(w)+" "+where, " ")
}

// end prints the sum, and says whether it was a success.
func (s *pingSeries) end() error {
	if !s.choice.json {
		text := fmt.Sprintf("%d sent, %d received", s.sent, s.rtts.n)
		if n := s.rtts.n; n > 0 {
			text += fmt.Sprintf(", round trips %.1f / %.1f / %.1f ms (least, mean, most)", s.rtts.least, s.rtts.sum/float64(n), s.rtts.most)
		}
		for _, c := range s.changes {
			text += ". " + c
		}
		if _, err := fmt.Fprintln(s.out, cli.Printable(text)); err != nil {
			return err
		}
	}
	switch {
	case s.choice.untilDirect && !s.direct():
		return cli.Errorf(cli.Failure, "", "no direct path to %s after %s: %s.", cli.Printable(s.choice.request.Peer), countText(s.sent, "ping"),
			cli.Printable(cmp.Or(s.last.Reason, "no ping was answered")))
	case !s.choice.untilDirect && s.rtts.n < s.sent:
		return cli.Errorf(cli.Failure, "", "%d of %s had no answer.", s.sent-s.rtts.n, countText(s.sent, "ping"))
	}
	return nil
}
