package cli

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// repeatWindow is the time in which repeats of one message are counted
	// together.
	repeatWindow = 60 * time.Second
	// repeatBurst is how many of them are printed before that: enough to see
	// different peers or servers behind one message.
	repeatBurst = 5
	// repeatMessages bounds the table of messages. Messages are constants of
	// the program, so it does not fill; if it did, the rest shares one entry.
	repeatMessages = 256
	// repeatRest is the name of that shared entry.
	repeatRest = "other messages"
)

// limitRepeats returns a handler that passes records on to next, but of
// warnings and errors with the same message only the first five within a
// minute, and at the end of that minute how many more there were. What a
// stranger can provoke by sending datagrams must not fill a disk.
func limitRepeats(next slog.Handler) slog.Handler {
	return &repeatHandler{next: next, seen: &repeats{base: next, open: map[string]*repeat{}}}
}

// repeatHandler is a handler with its share of the table of messages.
type repeatHandler struct {
	next slog.Handler
	seen *repeats
}

// repeats is the table, shared by all handlers derived from one.
type repeats struct {
	base slog.Handler // without the attributes of any one record
	mu   sync.Mutex
	open map[string]*repeat
}

// repeat counts one message within one window.
type repeat struct{ printed, more int }

// Enabled reports whether the handler below handles records of the level.
func (h *repeatHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.next.Enabled(ctx, l)
}

// Handle passes the record on or counts it.
func (h *repeatHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn || h.seen.admit(r.Level, r.Message) {
		return h.next.Handle(ctx, r)
	}
	return nil
}

// WithAttrs returns a handler with more attributes and the same table.
func (h *repeatHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &repeatHandler{next: h.next.WithAttrs(attrs), seen: h.seen}
}

// WithGroup returns a handler with a group and the same table.
func (h *repeatHandler) WithGroup(name string) slog.Handler {
	return &repeatHandler{next: h.next.WithGroup(name), seen: h.seen}
}

// admit reports whether a message may be printed. The first one of a window
// starts the timer that closes the window.
func (t *repeats) admit(l slog.Level, message string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := message
	if t.open[key] == nil && len(t.open) >= repeatMessages {
		key = repeatRest
	}
	n := t.open[key]
	if n == nil {
		n = &repeat{}
		t.open[key] = n
		time.AfterFunc(repeatWindow, func() { t.close(l, key) })
	}
	if n.printed < repeatBurst {
		n.printed++
		return true
	}
	n.more++
	return false
}

// close ends a window and prints how many repeats were held back.
func (t *repeats) close(l slog.Level, key string) {
	t.mu.Lock()
	n := t.open[key]
	delete(t.open, key)
	t.mu.Unlock()
	if n == nil || n.more == 0 {
		return
	}
	text := fmt.Sprintf("%s … and %d more in %d s", key, n.more, int(repeatWindow.Seconds()))
	// A log that cannot be written cannot say so.
	_ = t.base.Handle(context.Background(), slog.NewRecord(time.Now(), l, text, 0))
}
