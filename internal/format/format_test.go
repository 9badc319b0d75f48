package format

import (
	"testing"
	"time"
)

func TestFormats(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{RTT(400 * time.Microsecond), "0.4 ms"}, {RTT(9960 * time.Microsecond), "10 ms"}, {RTT(23400 * time.Microsecond), "23 ms"},
		{Elapsed(40 * time.Millisecond), "40 ms"}, {Elapsed(1240 * time.Millisecond), "1.2 s"}, {Elapsed(0), "1 ms"},
		{Remaining(50 * time.Hour), "2 days"}, {Remaining(5 * time.Hour), "5 hours"}, {Remaining(time.Hour), "60 minutes"}, {Remaining(-time.Hour), "0 minutes"},
		{Span(3*time.Hour + 12*time.Minute), "3h12m"}, {Span(41 * 24 * time.Hour), "41d0h"}, {Span(41*24*time.Hour + time.Hour), "41d1h"},
		{Span(61 * time.Second), "1m1s"}, {Span(Seconds(59.9)), "59s"}, {Span(900 * time.Millisecond), "0s"}, {Span(0), "0s"},
		{Bytes(0), "0"}, {Bytes(999), "999"}, {Bytes(1000), "1.0k"}, {Bytes(999499), "999k"}, {Bytes(999500), "1.0M"}, {Bytes(9100000000), "9.1G"},
		{Bytes(88_123_456_789), "88G"}, {Bytes(1<<64 - 1), "18E"},
		{Count(0, "key"), "0 keys"}, {Count(1, "key"), "1 key"}, {Count(2, "key"), "2 keys"},
		{RTT(Milliseconds(0.31)), "0.3 ms"},
		{Printable("evil\x1b[2J\r\nname\u202e"), "evil\uFFFD[2J\uFFFD\uFFFDname\uFFFD"}, {Printable("Größe 日本"), "Größe 日本"}, {Printable("\xff"), "\uFFFD"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
