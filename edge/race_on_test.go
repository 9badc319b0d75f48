//go:build race

package edge

// slower is how many times longer than usual anything may take with the race detector.
const slower = 5
