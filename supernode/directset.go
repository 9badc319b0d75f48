package supernode

import (
	"slices"

	"hedgerow/protocol"
)

// handleDirect replaces an edge's DIRECT set: the members that we leave out of those
// of its floods that carry FlagExceptDirect, since the edge sends these to them
// itself.
func (m *members) handleDirect(x *exchange, value []byte) {
	set, err := protocol.ParseDirect(value)
	if err != nil {
		x.refuse(dropDirect)
		return
	}
	if !x.affords(directCost) {
		x.refuse(dropControlRate)
		return
	}
	x.hop.others.direct = append(x.hop.others.direct[:0], set.Handles...)
	slices.Sort(x.hop.others.direct)
}
