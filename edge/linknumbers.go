package edge

import (
	"encoding/base64"
	"slices"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// maxLinkNumbers bounds the peers of links that are kept over restarts: the present ones
// and as many that have gone.
const maxLinkNumbers = 2 * maxLinks

// namedLink is the number of a peer whose device the user named.
const namedLink = -1

// linkNumber returns the number of a peer's link, the same at every start: the lowest that
// nobody has, or, when there is no room, that of a peer without a link now.
func (s *state) linkNumber(id [32]byte, taken func(id [32]byte) bool) int {
	if n, ok := s.saved.Links[pinText(id)]; ok && n != namedLink {
		return n
	}
	s.makeLinkRoom(taken)
	var used [maxLinkNumbers + 1]bool
	for _, n := range s.saved.Links {
		if n >= 0 && n < len(used) {
			used[n] = true
		}
	}
	n := slices.Index(used[:], false) // there is one more than there are entries
	s.keepLink(id, n)
	return n
}

// keepLink keeps the number of a peer's link.
func (s *state) keepLink(id [32]byte, number int) {
	if n, ok := s.saved.Links[pinText(id)]; ok && n == number || !ok && len(s.saved.Links) >= maxLinkNumbers {
		return
	}
	if s.saved.Links == nil {
		s.saved.Links = make(map[string]int)
	}
	s.saved.Links[pinText(id)], s.dirty = number, true
}

// makeLinkRoom forgets peers without a link until there is room for one more.
func (s *state) makeLinkRoom(taken func(id [32]byte) bool) {
	for text := range s.saved.Links {
		if len(s.saved.Links) < maxLinkNumbers {
			return
		}
		if id, ok := identityOf(text); !ok || !taken(id) {
			delete(s.saved.Links, text)
		}
	}
}

// linkAddresses returns the hardware addresses that identities with a beginning have by
// default or had in an earlier run.
func (s *state) linkAddresses(peer []byte, cid [16]byte) (list []protocol.MAC) {
	fits := func(text string) (id [32]byte, ok bool) {
		id, ok = identityOf(text)
		return id, ok && string(id[:len(peer)]) == string(peer)
	}
	for text := range s.saved.Links {
		if id, ok := fits(text); ok {
			list = append(list, protocol.MAC(crypto.MACFor(id[:], cid)))
		}
	}
	for text, have := range s.saved.Pins {
		mac, err := protocol.ParseMAC(text)
		if _, ok := fits(have.ID); ok && err == nil {
			list = append(list, mac)
		}
	}
	return list
}

// identityOf reads what pinText has written.
func identityOf(text string) (id [32]byte, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return [32]byte(b), true
}
