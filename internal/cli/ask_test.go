package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"

	"hedgerow/internal/localapi"
)

func TestCallError(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code Code
		want string
	}{
		{fmt.Errorf("%w: nothing listens on /s", localapi.ErrNotRunning), Failure, "no edge is running at /s."},
		{fmt.Errorf("%w: /s", localapi.ErrRemoved), Failure, "the edge of /s runs and serves, but somebody has removed that socket, so it cannot be asked. Start it again, which makes the socket anew."},
		{&fs.PathError{Op: "connect", Path: "/s", Err: fs.ErrPermission}, Permission, "no permission on /s: run this with sudo, or join the group that owns it."},
		{&localapi.ServerError{Code: 500, Message: "not\x1bnow"}, Failure, "the edge at /s says: not\uFFFDnow"},
		{errors.New("odd"), Failure, "odd"},
	} {
		if err := CallError("edge", "/s", tt.err); CodeOf(err) != tt.code || err.Error() != tt.want {
			t.Errorf("%v became %v (%d), want %q", tt.err, err, CodeOf(err), tt.want)
		}
	}
}

func TestFailed(t *testing.T) {
	for _, tt := range []struct {
		err    error
		advice string
		code   Code
		want   string
	}{
		{syscall.EACCES, "Be root.", Permission, "permission denied. Be root."},
		{fmt.Errorf("open: %w", syscall.EPERM), "", Permission, "open: operation not permitted"},
		{syscall.EADDRINUSE, "", Failure, "address already in use"},
	} {
		err := Failed(tt.err, tt.advice)
		if err.Code != tt.code || err.Error() != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%v (%d), want %q (%d)", err, err.Code, tt.want, tt.code)
		}
	}
}

// shared is an app with the options and the command that both programs have.
func shared(p Place, seen *string) *cli.App {
	return &cli.App{
		Name: "mill", Version: "1.2.3", Commands: []*cli.Command{VersionCommand(7)},
		Flags: append(LogFlags(), VersionFlag(), JSONFlag(), ControlFlag("; default: none"), &cli.StringFlag{Name: "state-dir"}),
		Action: func(c *cli.Context) error {
			var faults Faults
			log := ParseLogChoice(c, &faults)
			dir, err := p.StateDirOption(c, "MILL_STATE_DIR")
			*seen = fmt.Sprint(log.Verbosity, " ", log.JSON(), " ", dir, " ", p.Option(c, "control", ""))
			return errors.Join(faults.Err(), err)
		},
	}
}

func TestSharedOptions(t *testing.T) {
	for _, tt := range []struct {
		line, env, seen, err string
		code                 Code
	}{
		{line: "mill", seen: "0 false /var/lib/mill "},
		{line: "mill -vv --log-format text --control /c", seen: "2 false /var/lib/mill /c"},
		{line: "mill --log-format json", env: "/e", seen: "0 true /e "},
		{line: "mill --state-dir /s", env: "/e", seen: "0 false /s "},
		{line: "mill --state-dir=", env: "/e", seen: "0 false /e "},
		{line: "mill --log-format xml", seen: "0 false /var/lib/mill ", err: "mill: --log-format xml is not text or json\nTry 'mill --help'.\n", code: Usage},
	} {
		p := Place{Program: "mill", Root: true, Env: func(name string) string { return map[string]string{"MILL_STATE_DIR": tt.env}[name] }}
		var seen string
		var out, errs strings.Builder
		code := Run(t.Context(), shared(p, &seen), strings.Fields(tt.line), Streams{Out: &out, Err: &errs})
		if seen != tt.seen || errs.String() != tt.err || code != tt.code {
			t.Errorf("%s: %q, %q, %d", tt.line, seen, errs.String(), code)
		}
	}
}

func TestVersionCommand(t *testing.T) {
	for line, want := range map[string]string{
		"mill version":        "mill " + Release + ", protocol 7, go",
		"mill version --json": "{\n  \"version\": \"" + Release + "\",\n  \"protocol\": 7,\n",
	} {
		var out, errs strings.Builder
		code := Run(t.Context(), shared(Place{}, nil), strings.Fields(line), Streams{Out: &out, Err: &errs})
		if code != OK || errs.Len() > 0 || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: %d, %q, %q", line, code, out.String(), errs.String())
		}
	}
}
