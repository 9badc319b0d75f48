package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
)

// binary is the path of the command under test.
var binary string

// TestMain builds the command once.
func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "edge-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Another user runs it in some of the tests.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, program)
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %s", err, out)
		return 1
	}
	return m.Run()
}

// invocation is one run of the command to its end.
type invocation struct {
	args  []string
	env   []string
	stdin string
	wrap  []string // a command that runs the command, for another user or namespace
}

// run returns what was printed and the exit code.
func (i invocation) run(t *testing.T) (out, errs string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	line := append(append(append([]string{}, i.wrap...), binary), i.args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"HOME=" + cmd.Dir, "PATH=" + os.Getenv("PATH")}, i.env...)
	cmd.Stdin = strings.NewReader(i.stdin)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// writeFile writes a file below a new directory.
func writeFile(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func TestErrorsAndExitCodes(t *testing.T) {
	busy, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := fmt.Sprint(busy.LocalAddr().(*net.UDPAddr).Port)

	held := t.TempDir()
	lock, err := cli.Lock(filepath.Join(held, "n"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	socket := filepath.Join(t.TempDir(), "n.sock")
	l, err := localapi.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	made, err := crypto.GenerateCommunity("real", 1, 0, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	community := writeFile(t, "c", string(text), 0o600)
	state := []string{"--state-dir", t.TempDir(), "--control", filepath.Join(t.TempDir(), "c.sock")}

	for _, tt := range []struct {
		name string
		run  invocation
		code cli.Code
		want []string
	}{
		{"nothing", invocation{}, cli.Usage, []string{"edge: no key", "edge: no community", "edge: no supernode", "Try 'edge --help'."}},
		{"no key", invocation{args: []string{"-c", "n", "-l", "h:1"}}, cli.Usage, []string{"no key: give one with --key-file FILE"}},
		{"left-over argument", invocation{args: []string{"-c", "n", "edge.conf", "-k", "k"}}, cli.Usage,
			[]string{`unexpected argument "edge.conf": options after it would be ignored.`, "[E24]"}},
		{"mistyped sub-command", invocation{args: []string{"staus"}}, cli.Usage, []string{`Did you mean the sub-command "status"? [E24]`}},
		{"mistyped option", invocation{args: []string{"--comunity", "n"}}, cli.Usage, []string{"unknown option --comunity. Did you mean --community?"}},
		{"open key file", invocation{args: []string{"-c", "n", "-l", "h:1", "--key-file", writeFile(t, "k", "pass\n", 0o644)}}, cli.Usage,
			[]string{"cannot use the key of --key-file: "}},
		{"missing key file", invocation{args: []string{"-c", "n", "-l", "h:1", "--key-file", "/nonexistent/key"}}, cli.Usage,
			[]string{"cannot use the key of --key-file: ", "/nonexistent/key"}},
		{"empty standard input", invocation{args: []string{"-c", "n", "-l", "h:1", "--key-file", "-"}, stdin: "\n"}, cli.Usage, []string{"standard input is no key: it is empty"}},
		{"community file of another name", invocation{args: []string{"-c", "other", "-l", "h:1", "--community-file", community}}, cli.Usage,
			[]string{`-c other, but --community-file holds the keys of "real"`}},
		{"damaged community file", invocation{args: []string{"-l", "h:1", "--community-file", writeFile(t, "c", "hedgerow community 1\nname\n", 0o600)}}, cli.Usage,
			[]string{"line 2"}},
		{"failing helper", invocation{args: []string{"-c", "n", "-l", "h:1", "--key-exec", "/bin/false"}}, cli.Usage, []string{"cannot use the key of --key-exec: ", "/bin/false"}},
		{"port in use", invocation{args: append([]string{"-c", "n", "-k", "s3cret", "-l", "h:1", "-p", port}, state...)}, cli.Failure,
			[]string{"warning: the key was on the command line", "warning: the key is weak: about ", "UDP port " + port + " is taken by pid " + fmt.Sprint(os.Getpid()), "Use -p 0 for any free port. [E16]"}},
		{"state directory in use", invocation{args: []string{"-c", "n", "-l", "h:1", "--state-dir", held}, env: []string{"EDGE_KEY=x"}}, cli.Failure,
			[]string{`another edge of community "n" runs on this machine`, "in use by pid " + fmt.Sprint(os.Getpid()), "--state-dir DIR"}},
		{"control socket in use", invocation{args: []string{"-c", "n", "-l", "h:1", "--state-dir", t.TempDir(), "--control", socket}, env: []string{"N2N_KEY=x"}}, cli.Failure,
			[]string{`another edge of community "n" runs on this machine`, "--control PATH"}},
		{"no edge to ask", invocation{args: []string{"status", "--control", "/nonexistent.sock"}}, cli.Failure, []string{"no edge is running at /nonexistent.sock."}},
		{"keys of no file", invocation{args: []string{"keys", "--community-file", "/nonexistent"}}, cli.Usage, []string{"/nonexistent"}},
		{"keygen without a name", invocation{args: []string{"keygen", "--epochs", "x", "--every", "y"}}, cli.Usage,
			[]string{"name it with --community NAME", "--epochs x is not a number", "--every: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := tt.run.run(t)
			if code != int(tt.code) {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(errs, want) {
					t.Errorf("%q does not say %q", errs, want)
				}
			}
			if strings.Contains(out+errs, "s3cret") {
				t.Errorf("the key is shown: %q %q", out, errs)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"-V"}, {"--version"}, {"version"}} {
		out, errs, code := invocation{args: args}.run(t)
		if code != 0 || errs != "" || !strings.HasPrefix(out, "edge "+cli.Release) {
			t.Errorf("%v: %d, %q, %q", args, code, out, errs)
		}
	}
	out, _, code := invocation{args: []string{"version", "--json"}}.run(t)
	if code != 0 || !strings.Contains(out, `"version": "`+cli.Release+`"`) || !strings.Contains(out, `"protocol": 1`) {
		t.Errorf("%d, %q", code, out)
	}
}

func TestKeygen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "community")
	out, errs, code := invocation{args: []string{"keygen", "--community", "mynetwork", "--epochs", "2", "--every", "7d", "-o", path}}.run(t)
	if code != 0 || out != "" || !strings.Contains(errs, path+": 2 keys of 256 random bits until ") {
		t.Fatalf("%d, %q, %q", code, out, errs)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	before, _ := os.ReadFile(path)
	if _, errs, code := (invocation{args: []string{"keygen", "--community", "x", "-o", path}}).run(t); code != int(cli.Usage) || !strings.Contains(errs, "exists") {
		t.Errorf("writing over keys: %d, %s", code, errs)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the keys were written over")
	}

	out, errs, code = invocation{args: []string{"keys", "--community-file", path}}.run(t)
	if code != 0 || errs != "" || !strings.Contains(out, "mynetwork   2 epochs") || !strings.Contains(out, "active      index 0, until ") ||
		!strings.Contains(out, "next roll") || !strings.Contains(out, "warning     the schedule ends in ") {
		t.Errorf("keys: %d, %q, %q", code, out, errs)
	}
	out, _, code = invocation{args: []string{"keys", "--json", "--community-file", path}}.run(t)
	if code != 0 || !strings.Contains(out, `"active": 0`) || strings.Contains(out, "secret") {
		t.Errorf("keys --json: %d, %q", code, out)
	}

	out, _, code = invocation{args: []string{"keygen", "--every", "0"}, env: []string{"EDGE_COMMUNITY=n"}}.run(t)
	c, err := crypto.ParseCommunity([]byte(out))
	if code != 0 || err != nil || c.Name != "n" || len(c.Epochs) != 1 || !c.Epochs[0].Until.IsZero() {
		t.Errorf("one key without an end: %d, %v, %v", code, c, err)
	}
}
