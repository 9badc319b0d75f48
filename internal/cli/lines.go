package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"hedgerow/internal/format"
)

// lines is a handler that writes records as people read them on a terminal:
//
//	12:04:07 warning: message key=value
//
// Info carries no word, since most lines are of that level.
type lines struct {
	out   *lineOutput
	level slog.Level
	clock bool   // the time of day stands in front
	attrs string // " key=value" of WithAttrs, ready to print
	group string // "group." of WithGroup
}

// lineOutput keeps lines whole; all handlers derived from one share it.
type lineOutput struct {
	mu sync.Mutex
	w  io.Writer
}

// newLines returns a handler for records from level up on w.
func newLines(w io.Writer, level slog.Level, clock bool) *lines {
	return &lines{out: &lineOutput{w: w}, level: level, clock: clock}
}

// Enabled reports whether records of the level are written.
func (h *lines) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// Handle writes one line.
func (h *lines) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if h.clock && !r.Time.IsZero() {
		b.WriteString(r.Time.Format("15:04:05 "))
	}
	b.WriteString(levelWord(r.Level))
	b.WriteString(format.Printable(r.Message))
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.group, a)
		return true
	})
	b.WriteByte('\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, b.String())
	return err
}

// WithAttrs returns a handler that adds attributes to every line.
func (h *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	for _, a := range attrs {
		appendAttr(&b, h.group, a)
	}
	more := *h
	more.attrs += b.String()
	return &more
}

// WithGroup returns a handler that puts name in front of every later key.
func (h *lines) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	more := *h
	more.group += name + "."
	return &more
}

func levelWord(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error: "
	case l >= slog.LevelWarn:
		return "warning: "
	case l >= slog.LevelInfo:
		return ""
	case l > levelTrace:
		return "debug: "
	}
	return "trace: "
}

// appendAttr writes " key=value", and a group as several.
func appendAttr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			appendAttr(b, group, inner)
		}
		return
	}
	if a.Equal(slog.Attr{}) {
		return
	}
	text := v.String()
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || r == '"' || !unicode.IsPrint(r) }) {
		text = strconv.Quote(text)
	}
	fmt.Fprintf(b, " %s%s=%s", group, a.Key, text)
}
