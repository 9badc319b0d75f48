//go:build !race

package edge

// slower is how many times longer than usual anything may take: no longer.
const slower = 1
