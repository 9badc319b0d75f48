package supernode

import (
	"slices"

	"hedgerow/protocol"
)

// replaceDirectSet replaces an edge's DIRECT set: the members that we leave out of those
// of its floods that carry FlagExceptDirect, since the edge sends these to them
// itself.
func replaceDirectSet(x *exchange, value []byte) {
	m, err := protocol.ParseDirect(value)
	if err != nil {
		x.refuse(dropDirect)
		return
	}
	x.hop.directSet = append(x.hop.directSet[:0], m.Handles...)
	slices.Sort(x.hop.directSet)
}
