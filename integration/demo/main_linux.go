package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// Exit codes: those of the commands that it shows.
const (
	exitFailure    = 1
	exitPermission = 3
)

// longest is how long the demonstration may take, after which it gives up.
const longest = 55 * time.Second

func main() {
	bin := flag.String("bin", "bin", "folder of the commands edge and supernode")
	flag.Parse()
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "demo: it makes network namespaces, which needs root: run sudo make demo")
		os.Exit(exitPermission)
	}
	if err := lab.Available(); err != nil {
		fmt.Fprintf(os.Stderr, "demo: no network namespaces can be made here: %v\n", err)
		os.Exit(exitPermission)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := show(ctx, *bin); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(exitFailure)
	}
}

// show plays everything and cleans up, however far it came.
func show(ctx context.Context, bin string) (err error) {
	began := time.Now()
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	programs := rig.In(bin)
	for _, p := range []string{programs.Edge, programs.Supernode} {
		if _, err := os.Stat(p); err != nil {
			return fmt.Errorf("%w: build it with make build", err)
		}
	}
	before, err := inventory(programs)
	if err != nil {
		return err
	}
	s, err := newStage(ctx, programs)
	if err != nil {
		return err
	}
	failed := s.play()
	if failed != nil {
		s.logs()
	}
	s.title("Cleaning up")
	if err := s.close(); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if err := before.unchanged(programs); err != nil {
		return err
	}
	s.say("No process, namespace, device or file of this is left.")
	s.say("That was all, in %.1f s. The README says how to run it on real machines.", time.Since(began).Seconds())
	return nil
}
