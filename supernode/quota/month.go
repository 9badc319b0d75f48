package quota

import "time"

// month is a calendar month in UTC.
type month struct {
	number       uint16 // of months since the beginning of year 0; not 0
	begins, ends int64  // unix seconds: from, and up to
}

// monthOf returns the month of a time.
func monthOf(now time.Time) month {
	y, m, _ := now.UTC().Date()
	first := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	return month{number: uint16(y*12 + int(m) - 1), begins: first.Unix(), ends: first.AddDate(0, 1, 0).Unix()}
}

// numbered returns the month with a number.
func numbered(n uint16) month {
	return monthOf(time.Date(int(n/12), time.Month(n%12+1), 1, 0, 0, 0, 0, time.UTC))
}

// has reports whether a time is in the month.
func (m *month) has(now time.Time) bool {
	at := now.Unix()
	return at >= m.begins && at < m.ends
}

// unset reports whether a time is that of a clock that nobody has set yet.
func unset(now time.Time) bool { return now.Year() < 2000 }
