package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/format"
	"hedgerow/internal/render"
)

// ping is "edge ping".
func (cmd *command) ping(c *ucli.Context) error {
	o, err := parsePing(c)
	if err != nil {
		return err
	}
	socket, err := cmd.socket(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &pingSeries{choice: o, out: cmd.streams.Out, now: cmd.now}
	for more := true; more; more = s.goesOn(ctx) {
		s.begin()
		got, err := socket.Ping(ctx, o.request)
		if ctx.Err() != nil {
			s.sent-- // what is interrupted is not lost
			break
		}
		if err != nil {
			return callError(socket, err)
		}
		if err := s.show(got); err != nil {
			return err
		}
	}
	return s.end()
}

// pingSeries shows the pings of one command as they are answered.
type pingSeries struct {
	choice pingChoice
	out    io.Writer
	now    func() time.Time

	first, begun time.Time // of all, and of the last
	sent         int       // without one that was interrupted
	text         render.Pings
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

// show prints what became of a ping.
func (s *pingSeries) show(p control.Ping) error {
	after := s.now().Sub(s.first)
	line := s.text.Line(p, s.sent, after)
	if s.choice.json {
		enc := json.NewEncoder(s.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(pingLine{s.sent, after.Seconds(), p})
	}
	_, err := fmt.Fprintln(s.out, line)
	return err
}

// direct reports whether the last answer came directly.
func (s *pingSeries) direct() bool { return s.text.Last().Path == control.PathDirect }

// goesOn waits for the time of the next ping and reports whether there is one.
func (s *pingSeries) goesOn(ctx context.Context) bool {
	if s.choice.count > 0 && s.sent >= s.choice.count || s.choice.untilDirect && s.direct() {
		return false
	}
	timer := time.NewTimer(s.begun.Add(s.choice.every).Sub(s.now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// end prints the sum, and says whether it was a success.
func (s *pingSeries) end() error {
	if !s.choice.json {
		if _, err := fmt.Fprintln(s.out, s.text.Sum(s.sent)); err != nil {
			return err
		}
	}
	received := s.text.Received()
	switch {
	case s.choice.untilDirect && !s.direct():
		return cli.Errorf(cli.Failure, "", "no direct path to %s after %s: %s.", format.Printable(s.choice.request.Peer), format.Count(s.sent, "ping"),
			format.Printable(cmp.Or(s.text.Last().Reason, "no ping was answered")))
	case !s.choice.untilDirect && received < s.sent:
		return cli.Errorf(cli.Failure, "", "%d of %s had no answer.", s.sent-received, format.Count(s.sent, "ping"))
	}
	return nil
}
