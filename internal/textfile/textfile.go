// Package textfile reads text as editors and shells of all systems leave it. What a
// user sees as the same text is the same text here, whatever is around it in the file.
package textfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Marks that editors and shells of Windows put before a text (RFC 3629, section 6, and
// RFC 2781, section 3.2).
var (
	utf8Mark     = []byte{0xef, 0xbb, 0xbf}
	littleMark   = []byte{0xff, 0xfe}
	bigMark      = []byte{0xfe, 0xff}
	errOdd       = errors.New("it begins as UTF-16 does and has an odd number of bytes: save it again, as UTF-8")
	errZero      = errors.New("it holds bytes that are zero, so it is no text: save it as UTF-8")
	errNotUTF8   = errors.New("it is neither UTF-8 nor UTF-16 with a byte-order mark: save it as UTF-8")
	errNothing   = errors.New("it is empty")
	errLines     = errors.New("it has several lines, and one is wanted: take the others away")
	errBlanks    = errors.New("its line begins or ends with blanks, which nobody sees: take them away")
	errInvisible = errors.New("it holds a character that nobody sees")
)

// Decode returns a text in UTF-8 without a byte-order mark, and with "\n" at the ends of
// its lines. It takes UTF-8, and UTF-16 with a mark, as PowerShell writes it. The error
// says what is wrong with the bytes and what to do, without the name of the file.
func Decode(b []byte) (string, error) {
	var text string
	switch {
	case bytes.HasPrefix(b, littleMark):
		return decode16(b[2:], binary.LittleEndian)
	case bytes.HasPrefix(b, bigMark):
		return decode16(b[2:], binary.BigEndian)
	default:
		text = string(bytes.TrimPrefix(b, utf8Mark))
	}
	return checked(text)
}

// decode16 is Decode for UTF-16.
func decode16(b []byte, order binary.ByteOrder) (string, error) {
	if len(b)%2 != 0 {
		return "", errOdd
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	text := string(utf16.Decode(units))
	if strings.ContainsRune(text, utf8.RuneError) {
		return "", errNotUTF8
	}
	return checked(text)
}

// checked returns a text with its lines' ends in one form.
func checked(text string) (string, error) {
	if at := strings.IndexByte(text, 0); at >= 0 {
		return "", fmt.Errorf("line %d: %w", lineOf(text, at), errZero)
	}
	if !utf8.ValidString(text) {
		at := 0
		for i, r := range text {
			if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
				at = i
				break
			}
		}
		return "", fmt.Errorf("line %d: %w", lineOf(text, at), errNotUTF8)
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), nil
}

// lineOf returns the number of the line that has a byte.
func lineOf(text string, at int) int { return 1 + strings.Count(text[:at], "\n") }

// Line returns the only line of a text, as a passphrase is: Decode, without the line ends
// that follow it. What would be a part of the line and cannot be seen is refused, since
// nobody could type it elsewhere.
func Line(b []byte) (string, error) {
	text, err := Decode(b)
	if err != nil {
		return "", err
	}
	text = strings.TrimRight(text, "\n")
	switch {
	case strings.TrimSpace(text) == "":
		return "", errNothing
	case strings.Contains(text, "\n"):
		return "", errLines
	case strings.TrimSpace(text) != text:
		return "", errBlanks
	}
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Cf) && r != '\t' && r != '\u200d' {
			return "", fmt.Errorf("%w (U+%04X): take it away", errInvisible, r)
		}
	}
	return text, nil
}
