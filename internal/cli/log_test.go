package cli

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/internal/printed"
)

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		verbosity int
		log       func(*slog.Logger)
		want      string
	}{
		{0, func(l *slog.Logger) { l.Info("link up", "peer", "a b", "n", 3) }, "00:00:00 link up peer=\"a b\" n=3\n"},
		{0, func(l *slog.Logger) { l.Warn("check -k. [E06]") }, "00:00:00 warning: check -k. [E06]\n"},
		{0, func(l *slog.Logger) { l.Error("no", "err", "x\ny") }, "00:00:00 error: no err=\"x\\ny\"\n"},
		{0, func(l *slog.Logger) { l.Debug("quiet") }, ""},
		{1, func(l *slog.Logger) { l.Debug("said") }, "00:00:00 debug: said\n"},
		{1, func(l *slog.Logger) { l.Log(context.Background(), levelTrace, "quiet") }, ""},
		{2, func(l *slog.Logger) { l.Log(context.Background(), levelTrace, "said") }, "00:00:00 trace: said\n"},
		{0, func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("b", 2).Info("m", "c", 3) }, "00:00:00 m a=1 g.b=2 g.c=3\n"},
		{0, func(l *slog.Logger) { l.Info("evil\x1b[2J\nname") }, "00:00:00 evil\uFFFD[2J\uFFFDname\n"},
		{0, func(l *slog.Logger) { l.Info("m", slog.Group("g", "a", "")) }, "00:00:00 m g.a=\"\"\n"},
	} {
		t.Setenv("JOURNAL_STREAM", "")
		synctest.Test(t, func(t *testing.T) {
			time.Local = time.UTC
			var b strings.Builder
			l, err := NewLog(&b, LogChoice{Verbosity: tt.verbosity})
			if err != nil {
				t.Fatal(err)
			}
			tt.log(l)
			if b.String() != tt.want {
				t.Errorf("%q, want %q", b.String(), tt.want)
			}
		})
	}
}

func TestLogFormats(t *testing.T) {
	var b strings.Builder
	l, err := NewLog(&b, LogChoice{Verbosity: 2, Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	l.Log(t.Context(), levelTrace, "said")
	if !strings.Contains(b.String(), `"level":"TRACE"`) || !strings.Contains(b.String(), `"msg":"said"`) {
		t.Errorf("JSON: %s", b.String())
	}
	if _, err := NewLog(&b, LogChoice{Format: "xml"}); err == nil {
		t.Error("an unknown format was taken")
	}
	t.Setenv("JOURNAL_STREAM", "8:1")
	b.Reset()
	l, _ = NewLog(&b, LogChoice{Format: "text"})
	l.Info("said")
	if b.String() != "said\n" {
		t.Errorf("under systemd: %q", b.String())
	}
}

func (t *repeats) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

func TestRepeats(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "8:1") // no time of day
	synctest.Test(t, func(t *testing.T) {
		var b printed.Text
		l, err := NewLog(&b, LogChoice{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range repeatBurst + 412 {
			l.With("n", i).Warn("bad datagram")
			l.Info("not limited")
		}
		l.Error("another")
		if got := strings.Count(b.String(), "bad datagram"); got != repeatBurst {
			t.Errorf("%d of the repeated lines, want %d", got, repeatBurst)
		}
		if got := strings.Count(b.String(), "not limited"); got != repeatBurst+412 {
			t.Errorf("%d lines of Info, want all", got)
		}
		b.Reset()
		time.Sleep(repeatWindow)
		synctest.Wait()
		if want := "warning: bad datagram … and 412 more in 60 s\n"; b.String() != want {
			t.Errorf("at the end of the window %q, want %q", b.String(), want)
		}
		b.Reset()
		l.Warn("bad datagram")
		if want := "warning: bad datagram\n"; b.String() != want {
			t.Errorf("in the next window %q, want %q", b.String(), want)
		}
		time.Sleep(repeatWindow)
		synctest.Wait()
		if want := "warning: bad datagram\n"; b.String() != want {
			t.Errorf("a window without repeats ended with %q", b.String())
		}
	})
}

func TestRepeatsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := limitRepeats(slog.DiscardHandler).(*repeatHandler)
		for i := range 10 * repeatMessages {
			h.seen.admit(slog.LevelWarn, strings.Repeat("x", i))
		}
		if n := h.seen.size(); n > repeatMessages+1 {
			t.Errorf("%d messages in the table, want at most %d", n, repeatMessages+1)
		}
		time.Sleep(repeatWindow)
		synctest.Wait()
		if n := h.seen.size(); n != 0 {
			t.Errorf("%d messages left after the window", n)
		}
	})
}
