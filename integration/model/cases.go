package main

import (
	"fmt"
	"io/fs"
	"strings"
)

// The files of the model, below its directory.
const (
	casesFile  = "cases.txt"
	modelFile  = "hedgerow.pv"
	recordFile = "checked.txt"
)

// Verdict is what ProVerif says of a query.
type Verdict string

// What ProVerif says. A query of reachability is false when the point is reached.
const (
	Proved  Verdict = "true"
	Refuted Verdict = "false"
	Unknown Verdict = "cannot be proved"
)

// Case is a setting: flags of the model, and queries that are asked in it.
type Case struct {
	// Name says what the case is.
	Name string
	// Flags are those that the conditions of the model ask for.
	Flags []string
	// Queries are asked one at a time.
	Queries []Query
}

// Query is a query of the model and what has to come of it.
type Query struct {
	// Name is the flag under which the model asks it.
	Name string
	// Want is what ProVerif has to say.
	Want Verdict
}

// readCases reads the cases. A line "case NAME: FLAG ..." begins one; each line below it
// is "QUERY true" or "QUERY false". Blank lines and those from # on are skipped.
func readCases(files fs.FS) ([]Case, error) {
	b, err := fs.ReadFile(files, casesFile)
	if err != nil {
		return nil, err
	}
	var list []Case
	for n, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "case":
			name, flags, ok := strings.Cut(strings.TrimPrefix(line, "case "), ":")
			if !ok {
				return nil, fmt.Errorf("%s:%d: a case has no colon", casesFile, n+1)
			}
			list = append(list, Case{Name: name, Flags: strings.Fields(flags)})
		case len(list) == 0 || len(words) != 2 || words[1] != string(Proved) && words[1] != string(Refuted):
			return nil, fmt.Errorf("%s:%d: neither a case nor what a query has to be", casesFile, n+1)
		default:
			c := &list[len(list)-1]
			c.Queries = append(c.Queries, Query{Name: words[0], Want: Verdict(words[1])})
		}
	}
	return list, nil
}

// expand returns the model in which one query is asked.
func (c Case) expand(files fs.FS, q Query) (string, error) {
	return expand(files, modelFile, append([]string{q.Name}, c.Flags...))
}
