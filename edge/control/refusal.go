package control

import (
	"fmt"
	"time"

	"hedgerow/protocol"
)

// dayForm is how a day is written.
const dayForm = "2 January 2006"

// Refusal is the sentence about a supernode whose operator does not let this edge in, for
// a code of its NAK: that it does not serve the community (E07), has removed the edge, at
// since if that is not zero, or takes no such token (E23). It is empty for other codes.
func Refusal(supernode, community string, code uint8, since time.Time) string {
	switch code {
	case protocol.CodeNotServed:
		return fmt.Sprintf("%s does not serve community %q: look at -c, where capitals count, or ask its operator to allow it. Trying on. [E07]", supernode, community)
	case protocol.CodeRemoved:
		when := ""
		if !since.IsZero() {
			when = " on " + since.Local().Format(dayForm)
		}
		return fmt.Sprintf("this edge was removed from %s by its operator%s: ask there. Trying on. [E23]", supernode, when)
	case protocol.CodeToken:
		return fmt.Sprintf("%s does not take the token of this edge: it was used up, has expired, or was taken back. Ask for a new invite. [E23]", supernode)
	}
	return ""
}
