package admission

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp/syntax"
	"slices"
	"strings"

	"hedgerow/internal/textfile"
)

// patternNames is how many names a pattern of a community list may stand for. A supernode
// knows the hash of a name only, so a pattern can be read if all of its names can be
// written down.
const patternNames = 4096

// patternMarks make a line of a community list a pattern, as n2n has it.
const patternMarks = `.^$*+?[]\`

// anyName is the pattern by which n2n serves everybody.
const anyName = ".*"

var (
	errPattern = fmt.Errorf("a supernode sees the hash of a community's name only, so a pattern can be used if it stands for %d names at most: name the communities", patternNames)
	errNetwork = errors.New("the network behind the name is not used: --pool says where addresses are leased from")
)

// ParseCommunityList reads n2n's community.list: a name in each line, or a regular
// expression that a name has to match as a whole, with "#" before comments. The list that
// it returns is closed, unless a line is ".*". Notes say of lines what is not done for
// them; the error is about bytes that are no text, or too many names.
func ParseCommunityList(text []byte) (l List, notes []string, err error) {
	decoded, err := textfile.Decode(text)
	if err != nil {
		return l, nil, err
	}
	l.Mode = Closed
	number := 0
	for line := range strings.SplitSeq(decoded, "\n") {
		number++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if words[0] == anyName {
			l.Mode = Open
			continue
		}
		names, fault := listedNames(words)
		if fault != nil {
			notes = append(notes, fmt.Sprintf("line %d, %.40q: %v", number, line, fault))
		}
		for _, name := range names {
			l.Rules = append(l.Rules, Rule{Verb: Allow, Kind: CommunityName, Subject: name})
		}
		if len(l.Rules) > MostRules {
			return List{}, nil, errMost
		}
	}
	return l, notes, nil
}

// listedNames returns the names that a line stands for, and what is not done for it.
func listedNames(words []string) (names []string, err error) {
	names = words[:1]
	if strings.ContainsAny(words[0], patternMarks) {
		if names, err = expand(words[0]); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if _, err := subject(CommunityName, name); err != nil {
			return nil, err
		}
	}
	if len(words) > 1 {
		if _, bad := netip.ParsePrefix(words[1]); bad != nil || len(words) > 2 {
			return nil, errors.New("a line is a name, and a network at most")
		}
		return names, errNetwork
	}
	return names, nil
}

// expand returns all names that match a pattern as a whole.
func expand(pattern string) ([]string, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("it is no regular expression: %w", err)
	}
	names, ok := namesOf(re.Simplify())
	if !ok {
		return nil, errPattern
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// namesOf returns all texts that an expression matches, if they are few enough.
func namesOf(re *syntax.Regexp) (names []string, ok bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return nil, false
		}
		return []string{string(re.Rune)}, true
	case syntax.OpCharClass:
		return classNames(re.Rune)
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine:
		return []string{""}, true
	case syntax.OpCapture:
		return namesOf(re.Sub[0])
	case syntax.OpQuest:
		names, ok = namesOf(re.Sub[0])
		return append(names, ""), ok && len(names) < patternNames
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			more, few := namesOf(sub)
			if names = append(names, more...); !few || len(names) > patternNames {
				return nil, false
			}
		}
		return names, true
	case syntax.OpConcat:
		names = []string{""}
		for _, sub := range re.Sub {
			more, few := namesOf(sub)
			if !few || len(names)*len(more) > patternNames {
				return nil, false
			}
			names = products(names, more)
		}
		return names, true
	}
	return nil, false
}

// classNames returns the characters of ranges, each of which is two runes.
func classNames(ranges []rune) (names []string, ok bool) {
	for pair := range slices.Chunk(ranges, 2) {
		if int(pair[1]-pair[0]) >= patternNames-len(names) {
			return nil, false
		}
		for r := pair[0]; r <= pair[1]; r++ {
			names = append(names, string(r))
		}
	}
	return names, true
}

// products returns each of the first texts with each of the second behind it.
func products(first, second []string) []string {
	all := make([]string, 0, len(first)*len(second))
	for _, a := range first {
		for _, b := range second {
			all = append(all, a+b)
		}
	}
	return all
}
