package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
)

// levelTrace is one step below slog.LevelDebug, for -vv.
const levelTrace = slog.LevelDebug - 4

// LogFormats are the values of --log-format, the default first.
var LogFormats = []string{"text", "json"}

// NewLog returns the log of a command: one line per record on w, from Info up
// and with every -v from one level lower, with repeated warnings and errors
// limited. format is one of LogFormats, or empty for the default.
func NewLog(w io.Writer, verbosity int, format string) (*slog.Logger, error) {
	var h slog.Handler
	switch format {
	case "", LogFormats[0]:
		// The journal stamps every line by itself.
		h = newLines(w, level(verbosity), os.Getenv("JOURNAL_STREAM") == "")
	case LogFormats[1]:
		h = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level(verbosity), ReplaceAttr: nameTrace})
	default:
		return nil, fmt.Errorf("--log-format %q is not text or json", format)
	}
	return slog.New(limitRepeats(h)), nil
}

func level(verbosity int) slog.Level {
	switch {
	case verbosity <= 0:
		return slog.LevelInfo
	case verbosity == 1:
		return slog.LevelDebug
	}
	return levelTrace
}

// nameTrace gives the level below Debug a name of its own.
func nameTrace(_ []string, a slog.Attr) slog.Attr {
	if l, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey && l <= levelTrace {
		a.Value = slog.StringValue("TRACE")
	}
	return a
}
