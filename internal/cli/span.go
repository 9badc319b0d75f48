package cli

import (
	"fmt"
	"strconv"
	"time"
)

// ParseSpan reads a length of time with days and weeks beside the units of the
// standard library: "30d", "2w", "36h".
func ParseSpan(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	units := map[string]time.Duration{"d": day, "w": 7 * day}
	if s == "" {
		return 0, fmt.Errorf("it is empty")
	}
	if unit, ok := units[s[len(s)-1:]]; ok {
		n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a length of time such as 30d or 36h", s)
		}
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a length of time such as 30d or 36h", s)
	}
	return d, nil
}
