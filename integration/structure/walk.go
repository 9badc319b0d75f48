package main

import (
	"go/types"
	"maps"
	"slices"
	"strings"
)

// A toldStory is what a walk found.
type toldStory struct {
	Story string `json:"story"`
	// Files are those of package edge and the packages below it that hold the
	// functions of the story, with how many of these each holds.
	Files map[string]int `json:"files"`
	// Functions are these, their files in front.
	Functions []string `json:"functions"`
	// Whole is how many files there are when nobody stops anywhere.
	Whole int `json:"whole"`
	// Missing says which beginnings no function of this version fills: then nothing
	// is told, and the table of stories is to be brought up to date.
	Missing []string `json:"missing,omitempty"`
	// Others are the functions of other packages of ours that the story calls; the
	// walk does not go into them.
	Others []string `json:"others"`
}

// A walker follows the calls of stories.
type walker struct {
	references *references
	named      map[string]*types.Func
}

func (x *references) walker() *walker {
	w := &walker{references: x, named: make(map[string]*types.Func)}
	for f := range x.bodies {
		w.named[x.qualified(f)] = f
	}
	return w
}

// qualified names a function with the path of its package, as stories do:
// "edge.(*Edge).Run", "edge/dataplane.New".
func (x *references) qualified(f *types.Func) string { return x.home[f].path + "." + title(f) }

// resolve returns the functions that fill some roles in this version, and the
// roles that none fills.
func (w *walker) resolve(roles []role) (found []*types.Func, unfilled []string) {
	for _, r := range roles {
		n := len(found)
		for _, name := range slices.Concat(r.now, r.before) {
			if f := w.named[name]; f != nil {
				found = append(found, f)
			}
		}
		if len(found) == n {
			unfilled = append(unfilled, r.what)
		}
	}
	return found, unfilled
}

// tell follows a story.
func (w *walker) tell(s story) toldStory {
	told := toldStory{Story: s.name, Files: make(map[string]int), Functions: []string{}}
	begins, missing := w.resolve(s.begins)
	if told.Missing = missing; len(missing) > 0 {
		return told
	}
	forks, _ := w.resolve(s.forks)
	stops, _ := w.resolve(slices.Concat(s.stops, services))
	visited, others := w.follow(begins, append(stops, forks...))
	for _, f := range append(visited, forks...) {
		if w.obvious(f) {
			continue
		}
		file := w.references.path(f)
		told.Files[file]++
		told.Functions = append(told.Functions, file+": "+title(f))
	}
	slices.Sort(told.Functions)
	told.Others = others
	all, _ := w.follow(append(begins, forks...), nil)
	files := make(map[string]bool)
	for _, f := range all {
		files[w.references.path(f)] = true
	}
	told.Whole = len(files)
	return told
}

// follow returns the functions in edge that can be reached from some without going
// through a stop, and the names of those of other packages that they call.
func (w *walker) follow(from, stops []*types.Func) (visited []*types.Func, others []string) {
	seen, beyond := make(map[*types.Func]bool), make(map[string]bool)
	for next := from; len(next) > 0; next = next[1:] {
		f := next[0]
		if seen[f] || slices.Contains(stops, f) {
			continue
		}
		if !inEdge(w.references.home[f]) {
			beyond[w.references.qualified(f)] = true
			continue
		}
		seen[f] = true
		visited = append(visited, f)
		next = append(next, w.references.callees[f]...)
	}
	return visited, slices.Sorted(maps.Keys(beyond))
}

// obviousLines is how many lines a function of one statement has.
const obviousLines = 3

// obvious reports whether a function is so short that its name tells all of it.
func (w *walker) obvious(f *types.Func) bool {
	return w.references.house.lines(w.references.bodies[f]) <= obviousLines
}

// path names the file of a function with the folder of its package.
func (x *references) path(f *types.Func) string { return x.home[f].path + "/" + x.house.file(f.Pos()) }

// inEdge reports whether a room is one of those that a story is counted in: the
// package edge and what is below it, but its command and what serves others.
func inEdge(r *room) bool {
	if r == nil {
		return false
	}
	for _, other := range []string{"edge/cmd", "edge/control", "edge/netcheck"} {
		if r.path == other || strings.HasPrefix(r.path, other+"/") {
			return false
		}
	}
	return r.path == "edge" || strings.HasPrefix(r.path, "edge/")
}
