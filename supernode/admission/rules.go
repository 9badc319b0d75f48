package admission

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hedgerow/crypto"
	"hedgerow/internal/textfile"
)

// Mode says whom a supernode serves that no rule names.
type Mode uint8

const (
	// Unset: nothing says. It is Open in the end.
	Unset Mode = iota
	// Open serves everybody.
	Open
	// Closed serves nobody.
	Closed
)

var modeWords = [...]string{Unset: "", Open: "open", Closed: "closed"}

func (m Mode) String() string { return modeWords[m] }

// ParseMode reads "open" or "closed".
func ParseMode(s string) (Mode, error) { return word[Mode](s, modeWords[1:]) }

// MostRules is how many rules there may be.
const MostRules = 65536

// errMost says that there are too many rules.
var errMost = fmt.Errorf("more than %d rules: name networks instead of addresses, or let go of old ones", MostRules)

// List is a text of rules as it was read: the mode that it sets, if it does, and its rules
// in their order.
type List struct {
	Mode  Mode
	Rules []Rule
}

// Parse reads a text of rules: one a line, with comments behind "#", and "mode open" or
// "mode closed". It takes what editors write (package textfile). The error names the line,
// and the nearest word for one that is unknown.
func Parse(text []byte) (List, error) {
	var l List
	decoded, err := textfile.Decode(text)
	if err != nil {
		return l, err
	}
	number := 0
	for line := range strings.SplitSeq(decoded, "\n") {
		number++
		if err := l.line(line); err != nil {
			return List{}, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return l, nil
}

// line reads one line of a text.
func (l *List) line(text string) error {
	words, err := split(text)
	if err != nil || len(words) == 0 {
		return err
	}
	if words[0] == "mode" {
		return l.setMode(words[1:])
	}
	if !slices.Contains(verbWords[1:], words[0]) {
		_, err = word[Verb](words[0], append(slices.Clone(verbWords[1:]), "mode"))
		return err
	}
	r, err := ParseRule(words)
	if err != nil {
		return err
	}
	if l.Rules = append(l.Rules, r); len(l.Rules) > MostRules {
		return errMost
	}
	return nil
}

// setMode reads what follows "mode".
func (l *List) setMode(rest []string) error {
	if len(rest) != 1 {
		return errors.New(`say "mode open" or "mode closed"`)
	}
	mode, err := ParseMode(rest[0])
	if err == nil && l.Mode != Unset && l.Mode != mode {
		err = fmt.Errorf("the mode is %s already: take one of the two lines away", l.Mode)
	}
	l.Mode = mode
	return err
}

// split returns the words of a line without its comment.
func split(line string) (words []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t")
		switch {
		case line == "" || line[0] == '#':
			return words, nil
		case line[0] == '"':
			prefix, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, errors.New("a double quote is not closed")
			}
			w, err := strconv.Unquote(prefix)
			if err != nil {
				return nil, fmt.Errorf("%.40s is not a quoted word", prefix)
			}
			words, line = append(words, w), line[len(prefix):]
		default:
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			words, line = append(words, line[:end]), line[end:]
		}
	}
}

// Rules are all rules that hold at a time, to be looked up. They do not change.
type Rules struct {
	mode        Mode
	communities map[[16]byte]*Rule
	names       map[[32]byte]*Rule // by the hash of the name
	edges       map[identity]standing
	sources     map[netip.Prefix]*Rule
	users       map[string]*Rule
	lengths     []prefixLength // of sources, the longest first
	all         []Rule
}

// prefixLength is a length of prefixes of one family.
type prefixLength struct {
	bits int
	is4  bool
}

// standing is what is said of one edge.
type standing struct{ allowance, ban *Rule } // nil: nothing

// NewRules returns the rules of some lists. Of two about the same a later one holds, and
// so does a later mode.
func NewRules(lists ...List) (*Rules, error) {
	rs := &Rules{
		mode: Open, communities: make(map[[16]byte]*Rule), names: make(map[[32]byte]*Rule),
		edges: make(map[identity]standing), sources: make(map[netip.Prefix]*Rule),
		users: make(map[string]*Rule),
	}
	at := make(map[slot]int)
	for _, l := range lists {
		if l.Mode != Unset {
			rs.mode = l.Mode
		}
		for _, r := range l.Rules {
			if i, known := at[r.slot()]; known {
				rs.all[i] = r
				continue
			}
			at[r.slot()] = len(rs.all)
			rs.all = append(rs.all, r)
		}
	}
	if len(rs.all) > MostRules {
		return nil, errMost
	}
	for i := range rs.all {
		rs.enter(&rs.all[i])
	}
	rs.lengths = lengthsOf(rs.sources)
	return rs, nil
}

// enter makes a rule one that is found.
func (rs *Rules) enter(r *Rule) {
	switch r.Kind {
	case CommunityName:
		c := crypto.Community{Name: r.Subject}
		rs.names[c.NameHash()] = r
	case CommunityID:
		id, _ := hex.DecodeString(r.Subject) // subject has looked at it
		rs.communities[[16]byte(id)] = r
	case Edge:
		id, _ := parseIdentity(r.Subject)
		s := rs.edges[id]
		if r.Verb == Ban || r.Verb == Unban {
			s.ban = r
		} else {
			s.allowance = r
		}
		rs.edges[id] = s
	case Source:
		rs.sources[netip.MustParsePrefix(r.Subject)] = r
	case User:
		rs.users[r.Subject] = r
	}
}

// lengthsOf returns the lengths of prefixes, the longest first.
func lengthsOf(sources map[netip.Prefix]*Rule) []prefixLength {
	seen := make(map[prefixLength]bool)
	for p := range sources {
		seen[prefixLength{p.Bits(), p.Addr().Is4()}] = true
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b prefixLength) int { return b.bits - a.bits })
}

// Mode returns whom is served that no rule names: Open or Closed.
func (rs *Rules) Mode() Mode { return rs.mode }

// List returns all rules, in the order in which what they are about was named first.
func (rs *Rules) List() []Rule { return slices.Clone(rs.all) }

// Len returns how many rules there are.
func (rs *Rules) Len() int { return len(rs.all) }

// community returns the rule about a community, nil: there is none. One about its id
// goes before one about its name.
func (rs *Rules) community(cid [16]byte, nameHash [32]byte) *Rule {
	if r := rs.communities[cid]; r != nil {
		return r
	}
	return rs.names[nameHash]
}

// edge returns what is said of an edge. What names it whole goes before what names it
// as it is shown.
func (rs *Rules) edge(id [32]byte) standing {
	s, shown := rs.edges[whole(id)], rs.edges[short(id)]
	if s.allowance == nil {
		s.allowance = shown.allowance
	}
	if s.ban == nil {
		s.ban = shown.ban
	}
	return s
}

// hash returns the hash of a user's password; empty: nobody of the name is allowed.
func (rs *Rules) hash(user string) string {
	if r := rs.users[user]; r != nil {
		return r.Hash // of one who is denied there is none
	}
	return ""
}

// source returns the rule about the smallest network that holds an address, nil: there
// is none.
func (rs *Rules) source(a netip.Addr) *Rule {
	a = a.Unmap()
	for _, l := range rs.lengths {
		if l.is4 != a.Is4() {
			continue
		}
		p, err := a.Prefix(l.bits)
		if err != nil { // no address
			return nil
		}
		if r := rs.sources[p]; r != nil {
			return r
		}
	}
	return nil
}
