//go:build !unix

package main

import "os"

// notifyReload asks for nothing: this system has no such signal. The control socket does
// the same.
func notifyReload(chan<- os.Signal) {}
