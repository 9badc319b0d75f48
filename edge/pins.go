package edge

import (
	"encoding/base64"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// pins says whose a hardware address is (docs/DESIGN.md, "Decisions of our own").
type pins struct {
	state *state
	cid   [16]byte
}

// allow reports whether an identity may have a hardware address. An address
// that is derived from an identity is that identity's for good. Any other belongs to
// the first identity that made a session with it, unless the community is open.
func (p pins) allow(mac protocol.MAC, id [32]byte, c *crypto.Community) bool {
	if p.derived(mac, id) || c.Members == crypto.MembersOpen {
		return true
	}
	if have, ok := p.state.saved.Pins[mac.String()]; ok {
		return have == pinText(id)
	}
	return len(p.state.saved.Pins) < maxPins
}

// keep pins a hardware address to an identity that allow lets have it and that
// proved to be a member's. The owner of a derived address takes it back from
// whoever it was pinned to; it needs no pin of its own.
func (p pins) keep(mac protocol.MAC, id [32]byte, c *crypto.Community) {
	key := mac.String()
	have, pinned := p.state.saved.Pins[key]
	switch {
	case p.derived(mac, id):
		if pinned && have != pinText(id) {
			p.state.saved.Pins[key], p.state.dirty = pinText(id), true
		}
	case !pinned && c.Members != crypto.MembersOpen && len(p.state.saved.Pins) < maxPins:
		p.state.saved.Pins[key], p.state.dirty = pinText(id), true
	}
}

func pinText(id [32]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// derived reports whether a hardware address is the one that follows from an
// identity.
func (p pins) derived(mac protocol.MAC, id [32]byte) bool {
	return mac == protocol.MAC(crypto.MACFor(id[:], p.cid))
}
