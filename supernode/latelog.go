package supernode

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// lateLines is how many debug lines wait at most: what is more is left out.
const lateLines = 4096

// lateLog writes debug lines on a goroutine of its own. Most of them tell what happens under
// the mutex of the tables, and a log may keep whoever writes to it waiting. Other lines are
// few, and are written at once.
type lateLog struct {
	lines   chan lateLine
	running atomic.Bool // else all lines are written at once
	leftOut atomic.Uint64
}

// lateLine is a line and what writes it.
type lateLine struct {
	to     slog.Handler
	record slog.Record
}

func newLateLog() *lateLog { return &lateLog{lines: make(chan lateLine, lateLines)} }

// logger returns a logger whose debug lines are written by l.
func (l *lateLog) logger(log *slog.Logger) *slog.Logger {
	return slog.New(lateHandler{log.Handler(), l})
}

// run writes the lines until ctx ends. Then rest has to follow.
func (l *lateLog) run(ctx context.Context) {
	l.running.Store(true)
	for {
		select {
		case line := <-l.lines:
			l.write(line)
		case <-ctx.Done():
			return
		}
	}
}

// rest writes what waits, and has later lines written at once.
func (l *lateLog) rest() {
	l.running.Store(false)
	for {
		select {
		case line := <-l.lines:
			l.write(line)
		default:
			return
		}
	}
}

// write writes a line. That a log takes no more is nothing to tell it.
func (l *lateLog) write(line lateLine) {
	if n := l.leftOut.Swap(0); n > 0 {
		line.record.AddAttrs(slog.Uint64("lines_left_out", n))
	}
	_ = line.to.Handle(context.Background(), line.record)
}

// lateHandler is a slog.Handler whose debug lines a lateLog writes.
type lateHandler struct {
	slog.Handler
	late *lateLog
}

// Handle implements slog.Handler.
func (h lateHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo || !h.late.running.Load() {
		return h.Handler.Handle(ctx, r)
	}
	select {
	case h.late.lines <- lateLine{h.Handler, r.Clone()}:
	default:
		h.late.leftOut.Add(1)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h lateHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lateHandler{h.Handler.WithAttrs(attrs), h.late}
}

// WithGroup implements slog.Handler.
func (h lateHandler) WithGroup(name string) slog.Handler {
	return lateHandler{h.Handler.WithGroup(name), h.late}
}
