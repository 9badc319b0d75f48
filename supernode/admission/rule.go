package admission

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hedgerow/crypto"
	"hedgerow/internal/password"
	"hedgerow/internal/textfile"
)

// Verb is what a rule does.
type Verb uint8

const (
	// Allow serves a community, or an edge or a user whatever the community is.
	Allow Verb = iota + 1
	// Deny takes an allowance back; a community that is denied is not served by an open
	// supernode either.
	Deny
	// Ban keeps an edge or a network away.
	Ban
	// Unban takes a ban back.
	Unban
)

// Kind is what a rule names.
type Kind uint8

const (
	// CommunityName is every community of a name, whatever its key is.
	CommunityName Kind = iota + 1
	// CommunityID is one community, by the 32 hexadecimal digits of its id.
	CommunityID
	// Edge is an edge by its identity, whole or as it is shown.
	Edge
	// Source is a network of the underlay, "192.0.2.0/24", or an address.
	Source
	// User is whoever knows a password, by a name that the operator has given.
	User
)

// The words of rules. A verb has the kinds that it may be about.
var (
	verbWords = [...]string{Allow: "allow", Deny: "deny", Ban: "ban", Unban: "unban"}
	kindWords = [...]string{CommunityName: "community", CommunityID: "id", Edge: "edge", Source: "source", User: "user"}
	kindsOf   = [...][]Kind{
		Allow: {CommunityName, CommunityID, Edge, User}, Deny: {CommunityName, CommunityID, Edge, User},
		Ban: {Edge, Source}, Unban: {Edge, Source},
	}
)

// Of the fields of a rule.
const (
	mostName  = 64 // bytes of a community's name, as on the wire
	mostUser  = 64 // bytes of a user's name, as on the wire
	mostLabel = 64 // bytes of a label
	sinceForm = "2006-01-02T15:04:05Z07:00"
	dateForm  = "2006-01-02"
)

func (v Verb) String() string { return verbWords[v] }
func (k Kind) String() string { return kindWords[k] }

// Rule is one sentence of the operator. As text it is
//
//	VERB KIND SUBJECT [HASH] [since TIME] [label TEXT]
//
// for instance "ban edge 9f3a-71c2-e0b4 since 2026-05-12 label stolen laptop". Words with
// blanks in them are in double quotes. A user that is allowed has a HASH, and nothing else.
type Rule struct {
	// Verb and Kind say what is done to what.
	Verb Verb
	Kind Kind
	// Subject is whom the rule names, in one form for each kind.
	Subject string
	// Hash is that of the password of a user who is allowed (package password).
	Hash string
	// Since is when the rule was made, in whole seconds; zero: it does not say.
	Since time.Time
	// Label is what the operator calls the subject; empty: nothing.
	Label string
}

// Shown returns the rule as logs and answers show it: without the hash of a password,
// which could be tried against many passwords elsewhere.
func (r Rule) Shown() string {
	r.Hash = ""
	return r.String()
}

// String returns the rule as text.
func (r Rule) String() string {
	s := r.Verb.String() + " " + r.Kind.String() + " " + quoted(r.Subject)
	if r.Hash != "" {
		s += " " + r.Hash
	}
	if !r.Since.IsZero() {
		s += " since " + r.Since.UTC().Format(sinceForm)
	}
	if r.Label != "" {
		s += " label " + quoted(r.Label)
	}
	return s
}

// quoted returns a word as split reads it.
func quoted(word string) string {
	plain := word != "" && strings.IndexFunc(word, func(r rune) bool {
		return r == '"' || r == '#' || unicode.IsSpace(r) || !strconv.IsPrint(r)
	}) < 0
	if plain {
		return word
	}
	return strconv.Quote(word)
}

// slot is what a rule decides: a later rule for the same slot takes its place.
type slot struct {
	kind    Kind
	subject string
	bans    bool // it is about a ban, and not about an allowance
}

func (r *Rule) slot() slot { return slot{r.Kind, r.Subject, r.Verb == Ban || r.Verb == Unban} }

// ParseRule reads the words of a rule, as they stand in a line or were typed to a shell.
// A ban without a kind is about an edge or a network, whichever its subject is. The error
// says what is wrong, and the nearest word.
func ParseRule(words []string) (Rule, error) {
	var r Rule
	if len(words) == 0 {
		return r, errors.New("a rule begins with allow, deny, ban or unban")
	}
	var err error
	if r.Verb, err = word[Verb](words[0], verbWords[1:]); err != nil {
		return r, err
	}
	rest := words[1:]
	if kind, ok := bareKind(r.Verb, rest); ok {
		r.Kind = kind
	} else if len(rest) > 0 {
		if r.Kind, err = word[Kind](rest[0], kindWordsOf(r.Verb)); err != nil {
			return r, err
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return r, fmt.Errorf("%s: say whom, such as %q", strings.Join(words, " "), example[r.Verb])
	}
	if r.Subject, err = subject(r.Kind, rest[0]); err != nil {
		return r, err
	}
	rest = rest[1:]
	if r.Verb == Allow && r.Kind == User {
		if len(rest) == 0 {
			return r, fmt.Errorf("allow user %s: add the hash of the password, which 'supernode password' prints", quoted(r.Subject))
		}
		if err := password.Valid(rest[0]); err != nil {
			return r, fmt.Errorf("the hash of the password of user %s: %w. 'supernode password' prints one", quoted(r.Subject), err)
		}
		r.Hash, rest = rest[0], rest[1:]
	}
	return r, r.more(rest)
}

// example is a whole rule for each verb.
var example = [...]string{
	Allow: "allow community NAME", Deny: "deny community NAME", Ban: "ban edge 9f3a-71c2-e0b4", Unban: "unban source 192.0.2.0/24",
}

// bareKind returns the kind of a subject that stands without one.
func bareKind(v Verb, rest []string) (Kind, bool) {
	if len(rest) == 0 || v == Allow || v == Deny {
		return 0, false
	}
	if _, ok := crypto.ParseID(rest[0]); ok {
		return Edge, true
	}
	_, err := parseSource(rest[0])
	return Source, err == nil
}

// kindWordsOf returns the words of the kinds that a verb may be about, each at the place
// of its number.
func kindWordsOf(v Verb) []string {
	words := make([]string, len(kindWords)-1)
	for _, k := range kindsOf[v] {
		words[k-1] = kindWords[k]
	}
	return words
}

// word returns the number of a word among those that may stand there, from 1 on. Empty
// ones may not.
func word[N ~uint8](typed string, known []string) (N, error) {
	var valid []string
	for i, w := range known {
		if w == "" {
			continue
		}
		if w == typed {
			return N(i + 1), nil
		}
		valid = append(valid, w)
	}
	return 0, fmt.Errorf("unknown word %.40q: the nearest one is %q, and others are %s", typed, textfile.NearestWord(typed, valid), strings.Join(valid, ", "))
}

// more reads what follows the subject of a rule.
func (r *Rule) more(rest []string) error {
	for len(rest) > 0 {
		switch {
		case rest[0] == "since" && r.Since.IsZero() && len(rest) > 1:
			var err error
			if r.Since, err = parseTime(rest[1]); err != nil {
				return err
			}
			rest = rest[2:]
		case rest[0] == "label" && len(rest) > 1:
			r.Label = strings.Join(rest[1:], " ")
			return checkLabel(r.Label)
		default:
			return fmt.Errorf("%.40q is neither since TIME nor label TEXT: put what has blanks into double quotes", rest[0])
		}
	}
	return nil
}

// parseTime reads a day, or a second.
func parseTime(s string) (time.Time, error) {
	for _, form := range [...]string{dateForm, sinceForm} {
		if t, err := time.Parse(form, s); err == nil && t.Year() >= 2000 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("since %.40s is no time such as 2026-05-12 or 2026-05-12T18:30:00Z", s)
}

// checkLabel says what is wrong with a label.
func checkLabel(s string) error {
	switch {
	case len(s) > mostLabel:
		return fmt.Errorf("the label %.20q… has %d bytes, and %d is the most", s, len(s), mostLabel)
	case strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) >= 0:
		return fmt.Errorf("the label %.40q holds characters that nobody sees", s)
	}
	return nil
}

// subject brings whom a rule names into the one form of its kind.
func subject(k Kind, s string) (string, error) {
	switch k {
	case CommunityName:
		if s == "" || len(s) > mostName {
			return "", fmt.Errorf("the name %.20q has %d bytes, and a community's has 1 to %d", s, len(s), mostName)
		}
		return s, nil
	case CommunityID:
		id := strings.ToLower(s)
		if _, err := hex.DecodeString(id); err != nil || len(id) != 32 {
			return "", fmt.Errorf("%.40q is no id of a community: it has 32 hexadecimal digits ('supernode status --json' shows it)", s)
		}
		return id, nil
	case Edge:
		id, err := parseIdentity(s)
		return id.String(), err
	case User:
		if s == "" || len(s) > mostUser || strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) >= 0 {
			return "", fmt.Errorf("%.40q is no name of a user: it has 1 to %d bytes, all of which are seen", s, mostUser)
		}
		return s, nil
	}
	p, err := parseSource(s)
	return p.String(), err
}

// parseSource reads a network, or an address, which stands for the network of itself.
func parseSource(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%.60q is neither a network such as 192.0.2.0/24 or 2001:db8::/48 nor an address", s)
	}
	return p.Masked(), nil
}

// identity is an Ed25519 identity, or its first six bytes, which is how it is shown.
type identity struct {
	bytes [32]byte
	whole bool
}

// shortLen is how many bytes of an identity are shown.
const shortLen = 6

func whole(id [32]byte) identity { return identity{id, true} }

func short(id [32]byte) (s identity) {
	copy(s.bytes[:shortLen], id[:])
	return s
}

func (i identity) String() string {
	if i.whole {
		return hex.EncodeToString(i.bytes[:])
	}
	return crypto.ShortID(i.bytes[:])
}

// parseIdentity reads an identity as 'edge id' and status show it, short or whole.
func parseIdentity(s string) (identity, error) {
	digits, ok := crypto.ParseID(s)
	if !ok {
		return identity{}, fmt.Errorf("%.70q is no identity: it has 12 hexadecimal digits, such as 9f3a-71c2-e0b4, or 64", s)
	}
	var i identity
	n, _ := hex.Decode(i.bytes[:], []byte(digits)) // ParseID has looked at them
	i.whole = n == len(i.bytes)
	return i, nil
}
