//go:build !unix

package main

import "os"

// notifyExtra asks for nothing: this system has no signals to spare. The
// control socket does the same.
func notifyExtra(chan<- os.Signal) {}

// isReload reports false.
func isReload(os.Signal) bool { return false }
