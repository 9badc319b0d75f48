package service

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"hedgerow/internal/cli"
)

// UntilSignal returns a context that ends with the first SIGINT or SIGTERM, which
// the log mentions as doing. The second one ends the process at once. stop ends the
// watch. From the call on a log whose reader has gone is no reason to end: without it a
// line to a closed pipe ends the process by SIGPIPE.
func UntilSignal(parent context.Context, log *slog.Logger, doing string) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // not Ignore, which programs that we start would inherit
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for ctx.Err() == nil {
			select {
			case s := <-signals:
				log.Info(doing, "signal", s.String())
				cancel()
			case <-done:
				return
			}
		}
		select {
		case <-signals:
			os.Exit(int(cli.Failure))
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
