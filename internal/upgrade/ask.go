package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/localapi"
)

const path = "/api/v1/upgrade"

// requestBytes bounds the body of a request.
const requestBytes = 64 << 10

// Request asks a program to be replaced by another process while it serves.
type Request struct {
	// Binary is the path of the new program, which is absolute; empty: the one that the
	// running one was started from.
	Binary string `json:"binary,omitempty"`
}

// Done says that another process serves.
type Done struct {
	// Pid is its number.
	Pid int `json:"pid"`
	// Version is the program's.
	Version string `json:"version"`
	// Sessions and Edges are what it has taken over: sessions, and edges that a supernode
	// has registered or an edge has met.
	Sessions int `json:"sessions"`
	Edges    int `json:"edges"`
	// PauseS is for how long nothing was read, in seconds. What came waited.
	PauseS float64 `json:"pause_s"`
}

// answerWithin is how long the answer may take. The successor may say nothing three times: as it
// starts, as it takes over, and as its predecessor looks once more whether it has; the rest of
// the time is for what else there is to do, and for the end of another upgrade.
const answerWithin = 6 * Silence

// Ask has the program behind a control socket replaced. The error says why it was not, and
// that it serves on; it is one of package localapi.
func Ask(ctx context.Context, socket string, r Request) (done Done, err error) {
	err = localapi.AskFor(ctx, answerWithin, socket, path, r, &done)
	return done, err
}

// handle adds the request to a handler.
func handle(h http.Handler, do func(ctx context.Context, r Request) (Done, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var asked Request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, requestBytes)).Decode(&asked); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		done, err := do(r.Context(), asked)
		if err != nil {
			localapi.Refuse(w, err)
			return
		}
		localapi.Answer(w, done)
	})
	return mux
}

// Command is "PROGRAM upgrade [--binary PATH]". socket finds the control socket, and out gets
// what the user reads. takes is what the new process goes on with, in words.
func Command[S ~string](program, takes string, out io.Writer, socket func(*ucli.Context) (S, error), flags ...ucli.Flag) *ucli.Command {
	return &ucli.Command{
		Name: "upgrade", Usage: fmt.Sprintf("replace the running %s by a new one that goes on with its %s", program, takes),
		Flags: append([]ucli.Flag{
			&ucli.StringFlag{Name: "binary", Usage: "`PATH` of the new program; default: where the running one was started from"},
			cli.JSONFlag(),
		}, flags...),
		Action: func(c *ucli.Context) error {
			path, err := socket(c)
			if err != nil {
				return err
			}
			var r Request
			if binary, given := cli.String(c, "binary"); given {
				if r.Binary, err = filepath.Abs(binary); err != nil {
					return cli.Errorf(cli.Failure, "", "%w", err)
				}
			}
			done, err := Ask(c.Context, string(path), r)
			if err != nil {
				return cli.CallError(program, string(path), err)
			}
			if cli.Bool(c, "json") {
				return cli.PrintJSON(out, done)
			}
			_, err = fmt.Fprintf(out, "%s %s serves now, pid %d: it has %d edges and %d sessions. Nothing was read for %d ms; what came meanwhile has waited.\n",
				program, done.Version, done.Pid, done.Edges, done.Sessions, time.Duration(done.PauseS*float64(time.Second)).Milliseconds())
			return err
		},
	}
}

// Inherit returns the process that hands over to this one, nil if none does. names is the
// value of a variable of the environment.
func Inherit(program, variable, names string) (*handover.Predecessor, error) {
	if names == "" {
		return nil, nil
	}
	p, err := handover.Inherit(names)
	_ = os.Unsetenv(variable) // what this process starts is no successor
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "", "%s is set, and %w: it is for '%s upgrade' alone", variable, err, program)
	}
	return p, nil
}
