//go:build !race

package sim

// race says that the race detector is on: tests do less then.
const race = false
