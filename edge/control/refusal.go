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
// since if that is not zero, or takes no such token or password (E23), or about one that holds
// edges to the community's list of members: this edge is not in it (E65), or there is none
// yet (E64). It is empty for other codes.
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
	case protocol.CodeNotListed:
		return fmt.Sprintf("%s has a list of members of community %q, signed by its authority, and this edge is no member by it. Type 'edge admit ID' where the authority's key is; 'edge identity' shows the ID here. Trying on. [E65]", supernode, community)
	case protocol.CodeListWanted:
		return fmt.Sprintf("%s lets nobody into community %q before it has the list of members: members that have it give it by themselves, and 'edge admit' signs the first one where the authority's key is. Trying on. [E64]", supernode, community)
	case protocol.CodeUser:
		return fmt.Sprintf("%s knows no user of this name with this password: look at --user and --password-file, or ask its operator. Trying on. [E23]", supernode)
	}
	return ""
}
