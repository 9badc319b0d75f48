package main

import (
	"fmt"
	"time"
)

// rttText writes a round trip, exact to a tenth below ten milliseconds.
func rttText(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 9.95 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// readyText writes how long the start took.
func readyText(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", max(d, time.Millisecond).Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// longSpan writes a length of time in words of days or hours, rounded down.
func longSpan(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", max(d, 0)/time.Minute)
}

// uptime writes how long something runs, in its two largest units: "3h12m".
func uptime(d time.Duration) string {
	const day = 24 * time.Hour
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

// bytesText writes a number of bytes with three digits and a decimal unit, as
// operators read traffic.
func bytesText(n uint64) string {
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
