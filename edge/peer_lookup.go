package edge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hedgerow/protocol"
)

const (
	// leastPrefix is how many digits of an identity have to be typed.
	leastPrefix = 4
	// shownNames is how many peers an error lists.
	shownNames = 20
)

// lookUp returns the peer that the user means by a name, a hardware address, an
// overlay address or the beginning of an identity, in this order. The error lists
// whom they may have meant.
func (b *peers) lookUp(text string, self *self) (*peer, error) {
	if self.named(text) {
		return nil, fmt.Errorf("%q is this edge itself", text)
	}
	for _, fits := range []func(*peer) bool{
		func(p *peer) bool { return p.about.Name == text },
		func(p *peer) bool { mac, err := protocol.ParseMAC(text); return err == nil && p.view.MAC() == mac },
		func(p *peer) bool { return holds(p.about.Prefixes, text) },
		func(p *peer) bool { return begins(p.shortID(), text) },
	} {
		switch found := b.matching(fits); len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return nil, fmt.Errorf("%q may be each of %s: type its hardware address or identity", text, titles(found))
		}
	}
	all := b.matching(func(*peer) bool { return true })
	if len(all) == 0 {
		return nil, errors.New("no other edge is known yet")
	}
	unnamed := ""
	if slices.ContainsFunc(all, func(p *peer) bool { return p.about.Name == "" }) {
		unnamed = ". A name is known from the first traffic on; type an address or identity"
	}
	return nil, fmt.Errorf("no edge is called %q. There are: %s%s", text, titles(all), unnamed)
}

// named reports whether a text means this edge.
func (s *self) named(text string) bool {
	mac, err := protocol.ParseMAC(text)
	return text == s.name || err == nil && mac == s.mac || holds(s.prefixes(), text)
}

// matching returns the peers with an identity for which fits holds.
func (b *peers) matching(fits func(*peer) bool) (found []*peer) {
	for _, p := range b.byStatic {
		if p.known() && fits(p) {
			found = append(found, p)
		}
	}
	return found
}

// holds reports whether a text is one of some addresses.
func holds(prefixes []netip.Prefix, text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}

// begins reports whether an identity begins with what was typed, with or without
// its dashes.
func begins(id, text string) bool {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "") }
	typed := plain(text)
	return len(typed) >= leastPrefix && strings.HasPrefix(plain(id), typed)
}

// titles lists peers by their names, and by their identities where several have
// one name.
func titles(list []*peer) string {
	count := make(map[string]int, len(list))
	for _, p := range list {
		count[p.title()]++
	}
	texts := make([]string, 0, len(list))
	for _, p := range list {
		text := p.title()
		if count[text] > 1 {
			text += " (" + p.shortID() + ")"
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	more := ""
	if n := len(texts) - shownNames; n > 0 {
		texts, more = texts[:shownNames], fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(texts, ", ") + more
}
