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
// watch.
func UntilSignal(parent context.Context, log *slog.Logger, doing string) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
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
