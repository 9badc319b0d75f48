//go:build unix

package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"hedgerow/internal/cli"
)

const signalsChild = "SERVICE_SIGNALS_CHILD"

// TestMain lets the test binary stand in for a command that is told to stop, and is
// slow to do so or not.
func TestMain(m *testing.M) {
	kind := os.Getenv(signalsChild)
	if kind == "" {
		os.Exit(m.Run())
	}
	log, err := cli.NewLog(os.Stdout, cli.LogChoice{})
	if err != nil {
		panic(err)
	}
	ctx, stop := UntilSignal(context.Background(), log, "going home")
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	if kind == "slow" {
		select {}
	}
}

// started starts the child, and says returns its next line.
func started(t *testing.T, kind string) (cmd *exec.Cmd, says func() string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), signalsChild+"="+kind, "JOURNAL_STREAM=8:1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	return cmd, func() string { lines.Scan(); return lines.Text() }
}

func TestFirstSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, says := started(t, "quick")
		if s := says(); s != "ready" {
			t.Fatal(s)
		}
		_ = cmd.Process.Signal(sig)
		if s := says(); !strings.HasPrefix(s, "going home signal=") {
			t.Errorf("%v: the log says %q", sig, s)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

// TestLogWithoutReader: a line to a log whose reader has gone does not end the process.
func TestLogWithoutReader(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), signalsChild+"=quick")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if text, err := bufio.NewReader(out).ReadString('\n'); text != "ready\n" {
		t.Fatal(text, err)
	}
	_ = out.Close()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestSecondSignal(t *testing.T) {
	cmd, says := started(t, "slow")
	if s := says(); s != "ready" {
		t.Fatal(s)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	says()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != int(cli.Failure) {
		t.Errorf("it ended with %v", err)
	}
}

func TestStopWithoutSignal(t *testing.T) {
	log, _ := cli.NewLog(os.Stderr, cli.LogChoice{})
	ctx, stop := UntilSignal(t.Context(), log, "x")
	if ctx.Err() != nil {
		t.Error("it began ended")
	}
	stop()
	if ctx.Err() == nil {
		t.Error("stop does not end the context")
	}
}
