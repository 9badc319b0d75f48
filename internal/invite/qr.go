package invite

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	qrcode "github.com/skip2/go-qrcode"
)

// ErrNoRoom says that a text is too long for a QR code, or the code too wide for the
// terminal.
var ErrNoRoom = errors.New("no room for a QR code")

// The colours of a code: black on bright white by ECMA-48 (SGR), whatever those of the
// terminal are, since many readers take no code in inverted colours.
const (
	blackOnWhite = "\x1b[30;107m"
	plain        = "\x1b[0m"
)

// halves are the four pictures of two modules of a QR code, one above the other, in one
// character: by whether the upper one and the lower one is dark.
var halves = [2][2]string{{" ", "▄"}, {"▀", "█"}}

// WriteQR draws a text as a QR code (ISO/IEC 18004) for a terminal of so many columns; 0:
// as many as it takes. The error is ErrNoRoom, or that of the writer.
func WriteQR(w io.Writer, text string, columns int) error {
	code, err := qrcode.New(text, qrcode.Low)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	dark := code.Bitmap() // with a margin
	if columns > 0 && len(dark) > columns {
		return fmt.Errorf("%w: it has %d columns, the terminal %d", ErrNoRoom, len(dark), columns)
	}
	out := bufio.NewWriter(w)
	for y := 0; y < len(dark); y += 2 {
		out.WriteString(blackOnWhite) // the first error stays until Flush
		for x := range dark {
			lower := y+1 < len(dark) && dark[y+1][x]
			out.WriteString(halves[index(dark[y][x])][index(lower)])
		}
		out.WriteString(plain + "\n")
	}
	return out.Flush()
}

// index returns 1 for a dark module.
func index(dark bool) int {
	if dark {
		return 1
	}
	return 0
}
