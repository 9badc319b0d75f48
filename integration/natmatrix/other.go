//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "natmatrix: it is made of Linux network namespaces and runs on Linux only")
	os.Exit(1)
}
