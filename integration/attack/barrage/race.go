//go:build race

package barrage

// slower is how much slower a program is with the race detector.
const slower = 15
