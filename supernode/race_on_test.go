//go:build race

package supernode

// race says that the race detector is on: tests that repeat much do less then.
const race = true
