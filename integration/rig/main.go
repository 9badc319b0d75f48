//go:build linux

package rig

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"hedgerow/integration/lab"
)

// Exit codes of the programs that use a rig: those of the commands that it runs.
const (
	exitFailure    = 1
	exitUsage      = 2
	exitPermission = 3
)

// Built returns the commands in a folder, with absolute paths. The error names
// the one that is missing.
func Built(dir string) (Programs, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Programs{}, err
	}
	p := in(dir)
	for _, path := range []string{p.Edge, p.Supernode} {
		if _, err := os.Stat(path); err != nil {
			return Programs{}, fmt.Errorf("%w: build it with make build", err)
		}
	}
	return p, nil
}

// Main runs a program, named as its make target. Where no network namespaces can
// be made, or when f fails, it prints the reason and ends the process with the
// code of the commands. The context ends when the process gets a signal to end.
func Main(program string, f func(context.Context) error) {
	if os.Geteuid() != 0 {
		fmt.Fprintf(os.Stderr, "%s: it makes network namespaces, which needs root: run sudo make %s\n", program, program)
		os.Exit(exitPermission)
	}
	if err := lab.Available(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: no network namespaces can be made here: %v\n", program, err)
		os.Exit(exitPermission)
	}
	Run(program, f)
}

// Run is Main for what needs no namespaces.
func Run(program string, f func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := f(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		os.Exit(exitFailure)
	}
}

// Usage prints the fault of a program's command line, and ends the process.
func Usage(program string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
	os.Exit(exitUsage)
}
