package format

import (
	"fmt"
	"time"
)

const day = 24 * time.Hour

// TimeLayout is how times of a key schedule are written, for time.Time.Format.
const TimeLayout = "2006-01-02 15:04 MST"

// RTT writes a round trip in milliseconds, exact to a tenth below ten: "0.4 ms",
// "23 ms".
func RTT(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 9.95 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// Elapsed writes how long something took, at least a millisecond: "40 ms", "1.2 s".
func Elapsed(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", max(d, time.Millisecond).Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Remaining writes how long something lasts yet, in days, hours or minutes, rounded
// down: "4 days".
func Remaining(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", max(d, 0)/time.Minute)
}

// Span writes for how long something has been, in its two largest units: "3h12m".
func Span(d time.Duration) string {
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// Seconds turns a document's seconds into a length of time.
func Seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Milliseconds turns a document's milliseconds into a length of time.
func Milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
