//go:build !race

package supernode

// race says that the race detector is on.
const race = false
