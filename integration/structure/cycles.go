package main

import (
	"cmp"
	"maps"
	"slices"
)

// A graph says of each node where edges lead.
type graph[N cmp.Ordered] map[N]map[N]bool

// add draws an edge. An edge from a node to itself makes the node known only.
func (g graph[N]) add(from, to N) {
	if g[from] == nil {
		g[from] = make(map[N]bool)
	}
	if from != to {
		g[from][to] = true
	}
}

// largestCycle returns the largest set of nodes of which each can be reached from
// each other one (the largest strongly connected component, found by Tarjan's
// algorithm), sorted; empty when there is no cycle.
func largestCycle[N cmp.Ordered](g graph[N]) []N {
	t := tarjan[N]{graph: g, index: make(map[N]int), low: make(map[N]int), open: make(map[N]bool)}
	for _, n := range slices.Sorted(maps.Keys(g)) {
		if t.index[n] == 0 {
			t.visit(n)
		}
	}
	if len(t.largest) < 2 {
		return []N{}
	}
	slices.Sort(t.largest)
	return t.largest
}

// tarjan is the state of the search. Indices begin at 1; 0 is a node that was not
// visited.
type tarjan[N cmp.Ordered] struct {
	graph   graph[N]
	index   map[N]int
	low     map[N]int // the lowest index that can be reached
	open    map[N]bool
	stack   []N
	largest []N
}

func (t *tarjan[N]) visit(n N) {
	t.index[n] = len(t.index) + 1
	t.low[n] = t.index[n]
	t.stack, t.open[n] = append(t.stack, n), true
	for _, to := range slices.Sorted(maps.Keys(t.graph[n])) {
		switch {
		case t.index[to] == 0:
			t.visit(to)
			t.low[n] = min(t.low[n], t.low[to])
		case t.open[to]:
			t.low[n] = min(t.low[n], t.index[to])
		}
	}
	if t.low[n] != t.index[n] {
		return
	}
	i := slices.Index(t.stack, n)
	for _, m := range t.stack[i:] {
		t.open[m] = false
	}
	if len(t.stack)-i > len(t.largest) {
		t.largest = slices.Clone(t.stack[i:])
	}
	t.stack = t.stack[:i]
}
