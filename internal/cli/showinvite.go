package cli

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"hedgerow/internal/invite"
)

// QRFlag is --qr.
func QRFlag() cli.Flag {
	return &cli.BoolFlag{Name: "qr", Usage: "print a QR code, too; default: on a terminal, --qr=false leaves it out", DisableDefaultText: true}
}

// ShowInvite prints an invite alone to the output, so that it can be kept in a file, and
// what there is to say about it, with a QR code, to where warnings go.
func ShowInvite(c *cli.Context, s Streams, text string, says ...string) error {
	columns, wanted := Terminal(s.Err)
	if given(c, "qr") {
		wanted = c.Bool("qr")
	}
	if _, err := fmt.Fprintln(s.Out, text); err != nil {
		return err
	}
	if wanted {
		err := invite.WriteQR(s.Err, text, columns)
		if err != nil && !errors.Is(err, invite.ErrNoRoom) {
			return err
		}
		if err != nil {
			says = append(says, fmt.Sprintf("%v.", err))
		}
	}
	for _, line := range says {
		fmt.Fprintln(s.Err, line)
	}
	return nil
}
