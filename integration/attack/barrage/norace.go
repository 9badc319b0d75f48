//go:build !race

package barrage

const slower = 1
