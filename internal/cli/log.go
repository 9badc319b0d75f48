package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
)

// levelTrace is one step below slog.LevelDebug, for -vv.
const levelTrace = slog.LevelDebug - 4

// LogFormats are the values of --log-format, the default first.
var LogFormats = []string{"text", "json"}

// LogChoice is what a command line says about the log.
type LogChoice struct {
	// Verbosity counts the -v.
	Verbosity int
	// Format is one of LogFormats, or empty for the default.
	Format string
}

// ParseLogChoice reads -v and --log-format.
func ParseLogChoice(c *cli.Context, faults *Faults) LogChoice {
	choice := LogChoice{Verbosity: Count(c, "v")}
	if choice.Format, _ = String(c, "log-format"); choice.Format != "" && !slices.Contains(LogFormats, choice.Format) {
		faults.Addf("--log-format %s is not text or json", choice.Format)
	}
	return choice
}

// JSON reports whether programs read the log rather than people.
func (l LogChoice) JSON() bool { return l.Format == LogFormats[1] }

// LogFlags are the options that ParseLogChoice reads. They are made anew for every
// command, as VerboseFlag is.
func LogFlags() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "log-format", Usage: "`FORMAT` of the log: text or json"}, VerboseFlag()}
}

// Warn says sentences that a start is worth: to people on w, to programs in the log.
func Warn(w io.Writer, log *slog.Logger, choice LogChoice, sentences []string) {
	for _, text := range sentences {
		if choice.JSON() {
			log.Warn(text)
		} else {
			fmt.Fprintln(w, "warning: "+text)
		}
	}
}

// NewLog returns the log of a command: one line per record on w, from Info up
// and with every -v from one level lower, with repeated warnings and errors
// limited.
func NewLog(w io.Writer, choice LogChoice) (*slog.Logger, error) {
	var h slog.Handler
	switch choice.Format {
	case "", LogFormats[0]:
		// The journal stamps every line by itself.
		h = newLines(w, level(choice.Verbosity), os.Getenv("JOURNAL_STREAM") == "")
	case LogFormats[1]:
		h = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level(choice.Verbosity), ReplaceAttr: nameTrace})
	default:
		return nil, fmt.Errorf("--log-format %q is not text or json", choice.Format)
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
