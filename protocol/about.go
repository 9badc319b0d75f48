package protocol

import (
	"net/netip"
	"unicode"
	"unicode/utf8"
)

// Bounds of an About.
const (
	// MaxAboutName is the size in bytes of the longest name.
	MaxAboutName = 63
	// MaxAboutPrefixes is how many prefixes may be named.
	MaxAboutPrefixes = 8
)

// About is an edge's description of itself for a peer. It is for display only:
// no decision may depend on it.
type About struct {
	// Name is the edge's own name for itself, printable UTF-8, maybe empty.
	Name string
	// Prefixes are the addresses on its device, each with the length of its
	// network's prefix.
	Prefixes []netip.Prefix
}

// Append appends the message with its type and length. A name that is too
// long is cut, one that is not printable left out; so are prefixes over the
// bound.
func (m *About) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgAbout)
	name := cut(m.Name, MaxAboutName)
	if !printable(name) {
		name = ""
	}
	dst = append(append(dst, byte(len(name))), name...)
	for _, p := range m.Prefixes[:min(len(m.Prefixes), MaxAboutPrefixes)] {
		dst = appendPrefix(dst, p)
	}
	return endTLV(dst, at)
}

// ParseAbout reads the value of an ABOUT. It fails with ErrShort, with
// ErrTooMany, and with ErrValue for a name that is too long or not printable:
// it ends up on a terminal.
func ParseAbout(value []byte) (About, error) {
	r := reader{b: value}
	name := r.next(int(r.u8()))
	if len(name) > MaxAboutName || !printable(string(name)) {
		r.fail(ErrValue)
	}
	m := About{Name: string(name)}
	for len(r.b) > 0 {
		if len(m.Prefixes) == MaxAboutPrefixes {
			r.fail(ErrTooMany)
			break
		}
		m.Prefixes = append(m.Prefixes, r.prefix())
	}
	return m, r.done()
}

// printable reports whether s is UTF-8 without control or format characters,
// so that it can neither move a cursor nor reverse a line.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}
