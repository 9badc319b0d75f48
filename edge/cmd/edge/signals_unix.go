//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyExtra asks for SIGHUP (reload) and SIGUSR1 (state to the log).
func notifyExtra(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP, syscall.SIGUSR1) }

// isReload reports whether the signal means reload.
func isReload(s os.Signal) bool { return s == syscall.SIGHUP }
