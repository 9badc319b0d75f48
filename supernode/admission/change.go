package admission

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hedgerow/internal/textfile"
)

// With returns the list with a rule that was made while the supernode runs, in the place
// of the one about the same. One that takes back what no list of base says, and no mode
// denies, leaves nothing behind.
func (l List) With(r Rule, base ...List) List {
	l.Rules = slices.DeleteFunc(slices.Clone(l.Rules), func(old Rule) bool { return old.slot() == r.slot() })
	if r.Verb == Unban || r.Verb == Deny && (r.Kind == Edge || r.Kind == User) {
		said := slices.ContainsFunc(base, func(b List) bool {
			return slices.ContainsFunc(b.Rules, func(old Rule) bool { return old.slot() == r.slot() })
		})
		if !said {
			return l
		}
	}
	l.Rules = append(l.Rules, r)
	return l
}

// Text returns the list as Parse reads it.
func (l List) Text() []byte {
	var b strings.Builder
	if l.Mode != Unset {
		fmt.Fprintf(&b, "mode %s\n", l.Mode)
	}
	for _, r := range l.Rules {
		b.WriteString(r.String() + "\n")
	}
	return []byte(b.String())
}

// Salvage reads what can be read of a damaged text of rules, and returns how many lines
// cannot.
func Salvage(text []byte) (l List, lost int) {
	for line := range strings.SplitSeq(strings.ToValidUTF8(string(text), "\x00"), "\n") {
		if _, err := textfile.Decode([]byte(line)); err != nil || l.line(line) != nil {
			lost++
		}
	}
	return l, lost
}

// ParseKick reads the words of "kick edge ID", or "kick ID", and returns the identity as
// Policy.Kick takes it.
func ParseKick(words []string) (id string, err error) {
	rest := words[1:]
	if len(rest) == 2 && rest[0] == Edge.String() {
		rest = rest[1:]
	}
	if len(rest) != 1 {
		return "", errors.New(`say whom: "kick edge 9f3a-71c2-e0b4"`)
	}
	i, err := parseIdentity(rest[0])
	return i.String(), err
}
