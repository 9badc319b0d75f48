package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hedgerow/internal/cli"
	"hedgerow/internal/printed"
	"hedgerow/supernode/admin"
)

// terminal is where a command of a test runs.
type terminal struct {
	out, err printed.Text
	env      map[string]string
	cmd      command
}

func newTerminal(dir string) *terminal {
	t := &terminal{env: map[string]string{"STATE_DIRECTORY": filepath.Join(dir, "state"), "RUNTIME_DIRECTORY": filepath.Join(dir, "run")}}
	t.cmd = command{
		streams: cli.Streams{In: strings.NewReader(""), Out: &t.out, Err: &t.err},
		place:   cli.Place{Program: program, Env: func(name string) string { return t.env[name] }, Root: true},
	}
	return t
}

func (t *terminal) run(ctx context.Context, args ...string) cli.Code {
	return t.cmd.run(ctx, append([]string{program}, args...))
}

// eventually waits until ok, as something happens in another goroutine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// complains reports whether a log says that something is wrong.
func complains(log string) bool {
	return strings.Contains(log, "warning: ") || strings.Contains(log, "error: ")
}

// serve starts a supernode and waits until its socket answers. stop ends it and
// returns the exit code.
func serve(t *testing.T, dir string, args ...string) (term *terminal, stop func() cli.Code) {
	t.Helper()
	term = newTerminal(dir)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("supernode %q said:\n%s%s", args, term.out.String(), term.err.String())
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan cli.Code, 1)
	go func() { code <- term.run(ctx, args...) }()
	socket := admin.Socket(filepath.Join(dir, "run", controlSocket))
	eventually(t, "the control socket", func() bool { _, err := socket.Status(ctx); return err == nil })
	return term, sync.OnceValue(func() cli.Code { cancel(); return <-code })
}

func TestServeAndAsk(t *testing.T) {
	dir := t.TempDir()
	server, stop := serve(t, dir, "-p", "0", "--pool", "10.77.0.0/16")
	defer stop()

	ask := newTerminal(dir)
	if code := ask.run(t.Context(), "id"); code != cli.OK {
		t.Fatalf("id: %d, %s", code, ask.err.String())
	}
	key := strings.TrimSpace(ask.out.String())
	if len(key) != 43 || !strings.Contains(server.out.String(), "#"+key) || !strings.Contains(server.out.String(), "listening on UDP") {
		t.Errorf("key %q, start-up %q", key, server.out.String())
	}

	ask = newTerminal(dir)
	if code := ask.run(t.Context(), "status", "--json"); code != cli.OK {
		t.Fatalf("status: %d, %s", code, ask.err.String())
	}
	var st admin.Status
	if err := json.Unmarshal([]byte(ask.out.String()), &st); err != nil || st.Key != key || st.Version != cli.Release || st.Listen.Port() == 0 {
		t.Errorf("%v: %+v", err, st)
	}
	ask = newTerminal(dir)
	if code := ask.run(t.Context(), "status"); code != cli.OK || !strings.Contains(ask.out.String(), key) || !strings.Contains(ask.out.String(), "COMMUNITY") {
		t.Errorf("status: %d, %s", code, ask.out.String())
	}
	counters, err := admin.Socket(filepath.Join(dir, "run", controlSocket)).Counters(t.Context())
	if err != nil || counters.Socket == nil {
		t.Errorf("counters: %+v, %v", counters, err)
	}
	if code := stop(); code != cli.OK {
		t.Errorf("exit code %d: %s", code, server.err.String())
	}
	if complains(server.err.String()) {
		t.Errorf("it complained: %s", server.err.String())
	}
	for _, line := range []string{" started version=", " configuration udp=[::]:", " pool=10.77.0.0/16 state_dir=" + filepath.Join(dir, "state") + " mode=open rules=0", " stopped after="} {
		if !strings.Contains(server.err.String(), line) {
			t.Errorf("the log lacks %q: %s", line, server.err.String())
		}
	}
	ask = newTerminal(dir)
	if code := ask.run(t.Context(), "status"); code != cli.Failure || !strings.Contains(ask.err.String(), "no supernode runs here") {
		t.Errorf("after the end: %d, %s", code, ask.err.String())
	}
	// The next one has the same key.
	again, stop := serve(t, dir, "-l", "0", "--offload", "gso=off,gro=off,batch=off")
	defer stop()
	if !strings.Contains(again.out.String(), "#"+key) {
		t.Errorf("another key: %s", again.out.String())
	}
}

// A supernode on a machine that was restored or cloned with its memory begins anew: with
// the same key at the same port, in another boot, without a session that its copy has.
func TestForked(t *testing.T) {
	dir := t.TempDir()
	term := newTerminal(dir)
	tell := make(chan struct{})
	term.cmd.forks = func(ctx context.Context, forked func()) {
		select {
		case <-tell:
			forked()
		case <-ctx.Done():
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan cli.Code, 1)
	go func() { code <- term.run(ctx, "-p", "0", "--tls-listen", "off") }()
	socket := admin.Socket(filepath.Join(dir, "run", controlSocket))
	var st admin.Status
	eventually(t, "the control socket", func() (ok bool) { var err error; st, err = socket.Status(ctx); return err == nil })
	for n := 1; n <= 2; n++ {
		tell <- struct{}{}
		eventually(t, "another start", func() bool {
			return strings.Count(term.out.String(), "listening on UDP") == n+1
		})
		eventually(t, "the control socket", func() bool {
			again, err := socket.Status(ctx)
			return err == nil && again.Key == st.Key && again.Listen == st.Listen
		})
	}
	if n := strings.Count(term.err.String(), "all sessions begin anew"); n != 2 {
		t.Errorf("said %d times: %s", n, term.err.String())
	}
	cancel()
	if c := <-code; c != cli.OK {
		t.Errorf("exit code %d: %s", c, term.err.String())
	}
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	_, stop := serve(t, dir, "-p", "0")
	defer stop()
	taken, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.LocalAddr().(*net.UDPAddr).Port)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	free := filepath.Join(dir, "free")
	for _, test := range []struct {
		name string
		args []string
		env  map[string]string
		code cli.Code
		want string
	}{
		{name: "left-over argument", args: []string{"net.conf", "-l", "7654"}, code: cli.Usage, want: "[E24]"},
		{name: "left-over argument of a sub-command", args: []string{"status", "x"}, code: cli.Usage, want: "[E24]"},
		{name: "near miss", args: []string{"statsu"}, code: cli.Usage, want: `"status"`},
		{name: "unknown option", args: []string{"--pol", "x"}, code: cli.Usage, want: "--pool"},
		{name: "port", args: []string{"-p", "70000"}, code: cli.Usage, want: "not a port"},
		{name: "port with host", args: []string{"-l", "host:7654"}, code: cli.Usage, want: "not a port"},
		{name: "two ports", args: []string{"-p", "1", "-l", "2"}, code: cli.Usage, want: "contradict"},
		{name: "pool", args: []string{"--pool", "10.0.0.0"}, code: cli.Usage, want: "--pool"},
		{name: "pool of IPv6", args: []string{"--pool", "fd00::/64"}, code: cli.Usage, want: "IPv4"},
		{name: "fall-back", args: []string{"--offload", "gso=off,tso=off"}, code: cli.Usage, want: `"tso"`},
		{name: "log format", args: []string{"--log-format", "xml"}, code: cli.Usage, want: "json"},
		{name: "environment", env: map[string]string{"SUPERNODE_PORT": "x"}, code: cli.Usage, want: "not a port"},
		{name: "port in use", args: []string{"-p", port, "--state-dir", free}, code: cli.Failure, want: "[E16]"},
		{name: "state in use", args: []string{"-p", "0"}, code: cli.Failure, want: "another supernode runs on this machine: "},
		{name: "who uses the state", args: []string{"-p", "0"}, code: cli.Failure, want: "in use by pid " + fmt.Sprint(os.Getpid()) + ". For a second one type -p PORT, --state-dir DIR and --control PATH."},
		{name: "control socket in use", args: []string{"-p", "0", "--state-dir", free}, code: cli.Failure, want: "another supernode"},
		{name: "control is a file", args: []string{"-p", "0", "--state-dir", free, "--control", file}, code: cli.Failure, want: file},
		{name: "state is a file", args: []string{"-p", "0", "--state-dir", file}, code: cli.Failure, want: "--state-dir"},
		{name: "no socket", args: []string{"status", "--control", filepath.Join(dir, "none")}, code: cli.Failure, want: "no supernode is running at "},
		{name: "no identity", args: []string{"id"}, env: map[string]string{"STATE_DIRECTORY": free + "2"}, code: cli.Failure, want: "no identity"},
	} {
		t.Run(test.name, func(t *testing.T) {
			term := newTerminal(dir)
			for k, v := range test.env {
				term.env[k] = v
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if code := term.run(ctx, test.args...); code != test.code || !strings.Contains(term.err.String(), test.want) {
				t.Errorf("exit code %d, want %d: %s", code, test.code, term.err.String())
			}
			if ctx.Err() != nil {
				t.Error("it went on running")
			}
		})
	}
}

func TestIDMakesOneWhereItIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var keys [2]string
	for i := range keys {
		term := newTerminal(t.TempDir())
		if code := term.run(t.Context(), "id", "--state-dir", dir); code != cli.OK {
			t.Fatal(term.err.String())
		}
		keys[i] = term.out.String()
	}
	if keys[0] != keys[1] {
		t.Errorf("%q and then %q", keys[0], keys[1])
	}
}
