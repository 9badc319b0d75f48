package format

import "fmt"

// Bytes writes a number of bytes with three digits and a decimal unit, as operators
// read traffic: "999", "1.0k", "18E".
func Bytes(n uint64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d", n)
	}
	v := float64(n)
	for _, u := range units {
		v /= 1000
		if v < 9.95 {
			return fmt.Sprintf("%.1f%c", v, u)
		}
		if v < 999.5 {
			return fmt.Sprintf("%.0f%c", v, u)
		}
	}
	return fmt.Sprintf("%d", n)
}

// Count writes a number with its noun, whose plural ends in s: "1 key", "2 keys".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
