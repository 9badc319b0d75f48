package textfile

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Of returns a text as PowerShell and some editors write it.
func utf16Of(text string, order binary.AppendByteOrder) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func TestDecode(t *testing.T) {
	const text = "naïve 🦔\nsecond\n"
	for name, b := range map[string][]byte{
		"plain": []byte(text), "mark": []byte("\xef\xbb\xbf" + text), "CRLF": []byte(strings.ReplaceAll(text, "\n", "\r\n")), "CR": []byte(strings.ReplaceAll(text, "\n", "\r")),
		"UTF-16, little": utf16Of(text, binary.LittleEndian), "UTF-16, big": utf16Of(text, binary.BigEndian),
		"UTF-16 with CRLF": utf16Of(strings.ReplaceAll(text, "\n", "\r\n"), binary.LittleEndian),
	} {
		if got, err := Decode(b); got != text || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for says, b := range map[string][]byte{
		"odd number": {0xff, 0xfe, 'a'}, "zero": []byte("a\x00b\x00"), "UTF-8": []byte("na\xefve"), "neither": {0xff, 0xfe, 0, 0xd8},
	} {
		if got, err := Decode(b); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q, %v", b, got, err)
		}
	}
}

func TestLine(t *testing.T) {
	for _, text := range []string{"secret", "secret\n", "secret\r\n", "\xef\xbb\xbfsecret", "secret\n\n\n", "secret\r"} {
		if got, err := Line([]byte(text)); got != "secret" || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"": "empty", "\n \n": "empty", "\xef\xbb\xbf\r\n": "empty", "two\nlines": "several lines", " secret": "blanks", "secret \n": "blanks", "secret\u00a0": "blanks",
		"sec\u200bret": "U+200B", "sec\x07ret": "U+0007", "\ufeff\ufeffsecret": "U+FEFF",
	} {
		if got, err := Line([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// Whatever the bytes are: a text that was read is UTF-8, and is the same when it is read
// again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfa\r\nb"))
	f.Add(utf16Of("a\r\nb", binary.LittleEndian))
	f.Add([]byte{0xfe, 0xff, 0xd8, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := Decode(b)
		if err != nil {
			return
		}
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\x00") {
			t.Errorf("%q became %q", b, text)
		}
		if line, err := Line(b); err == nil {
			if again, err := Line([]byte(line)); again != line || err != nil {
				t.Errorf("%q became %q, and that %q, %v", b, line, again, err)
			}
		}
	})
}
