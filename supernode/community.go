package supernode

import (
	"encoding/hex"
	"net/netip"

	"hedgerow/internal/bucket"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
)

// community is what the supernode knows of one: the hash of its name, and its
// members.
type community struct {
	id       [16]byte
	nameHash [32]byte
	pool     netip.Prefix
	byMAC    map[protocol.MAC]*registration
	byOwner  map[[32]byte]*registration
	byAddr   map[netip.Addr]*registration // leases
	online   []*registration              // those with a live session, in no order
	bytes    bucket.Bucket
	floods   bucket.Bucket
	traffic  admin.Traffic
}

// communityText returns a community's id as it is shown.
func communityText(id [16]byte) string { return hex.EncodeToString(id[:]) }

// latest returns up to n members with a session, without the one that asks, in
// the order in which they were last heard, the latest first.
func (c *community) latest(asker *registration, n int) []*registration {
	list := make([]*registration, 0, n+1)
	for _, r := range c.online {
		if r == asker {
			continue
		}
		i := len(list)
		for i > 0 && r.hop.heard.After(list[i-1].hop.heard) {
			i--
		}
		if i == n {
			continue
		}
		list = append(list, nil)
		copy(list[i+1:], list[i:])
		list[i] = r
		list = list[:min(len(list), n)]
	}
	return list
}
