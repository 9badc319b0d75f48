package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small is the story of the module in testdata.
var small = []story{{
	name:   "registering",
	begins: []role{{what: "a packet comes", now: []string{"edge.(*Edge).Run"}}},
	stops:  []role{{what: "it is published", now: []string{"edge.(*Edge).publish"}}},
}}

// Every measure of a module that is small enough to count by hand.
func TestMeasures(t *testing.T) {
	r, err := measure("testdata/house", small)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range r.Packages {
		paths = append(paths, p.Path)
	}
	if diff := cmp.Diff([]string{"edge", "edge/dataplane", "protocol"}, paths); diff != "" {
		t.Fatalf("packages (-want +got):\n%s", diff)
	}
	edge := r.Packages[0]
	want := packageReport{
		Path: "edge", Files: 5, Functions: 7,
		Types: []sizedType{
			// Own: Run, name2, register, retry, publish, forget. Promoted: stop, Send;
			// Lock, TryLock and Unlock are not ours.
			// Mutex, failed, done, Sent, name, send; secret is out of reach.
			{Type: "Edge", Methods: 6, Promoted: 2, Fields: 5, Reachable: 6},
			{Type: "loop", Methods: 1, Fields: 2, Reachable: 2},
		},
		Lengths: lengths{
			P50: 4, P90: 14, Past: []function{},
			Longest: function{Name: "(*Edge).Run", File: "edge.go", Lines: 14, Depth: 3},
			Deepest: function{Name: "(*Edge).Run", File: "edge.go", Lines: 14, Depth: 3},
		},
		Cycles: cycles{
			Names:     []string{"edge.go", "forget.go", "publish.go", "register.go", "retry.go"},
			Calls:     []string{"edge.go", "register.go", "retry.go"},
			Through:   []string{"edge.go", "register.go", "retry.go"},
			Functions: []string{"(*Edge).register", "(*Edge).retry"},
			Methods:   []string{"edge.go", "register.go", "retry.go"}, MethodFiles: 5,
		},
		Exported: 2, Commented: 1,
	}
	if diff := cmp.Diff(want, edge); diff != "" {
		t.Errorf("package edge (-want +got):\n%s", diff)
	}
	protocol := r.Packages[2]
	if protocol.Exported != 5 || protocol.Commented != 3 {
		t.Errorf("protocol: %d of %d identifiers have comments, not 3 of 5", protocol.Commented, protocol.Exported)
	}
	// Run names Parse; the others Header, and retry its field Index, which is not
	// declared at the level of the package. Edge embeds Plane.
	references := []referenced{{"edge", "edge/dataplane", 1}, {"edge", "protocol", 4}}
	if diff := cmp.Diff(references, r.References); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
}

// A story goes through interfaces, stops where it is told to, believes what is
// obvious, and says how far it would go without stops.
func TestStory(t *testing.T) {
	r, err := measure("testdata/house", small)
	if err != nil {
		t.Fatal(err)
	}
	want := []toldStory{{
		Story: "registering",
		Files: map[string]int{"edge/edge.go": 1, "edge/register.go": 1, "edge/retry.go": 1, "edge/dataplane/plane.go": 1},
		Functions: []string{
			"edge/dataplane/plane.go: (*Plane).Send", "edge/edge.go: (*Edge).Run",
			"edge/register.go: (*Edge).register", "edge/retry.go: (*Edge).retry",
		},
		Whole:  6,
		Others: []string{"protocol.Parse"},
	}}
	if diff := cmp.Diff(want, r.Stories); diff != "" {
		t.Errorf("stories (-want +got):\n%s", diff)
	}
}

// A version without a function for a beginning is measured as far as it goes.
func TestStoryWithoutBeginning(t *testing.T) {
	lost := []story{{name: "registering", begins: []role{{what: "a packet comes", now: []string{"edge.(*Edge).Gone"}}}}}
	r, err := measure("testdata/house", lost)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Stories[0]; !slices.Equal(got.Missing, []string{"a packet comes"}) || len(got.Files) > 0 {
		t.Errorf("the story is %+v", got)
	}
	if out := text([]report{r}, false); !strings.Contains(out, "nothing here is where a packet comes") {
		t.Errorf("the text does not say what is missing:\n%s", out)
	}
}

func TestLargestCycle(t *testing.T) {
	cases := []struct {
		edges string
		want  []string
	}{
		{"", []string{}},
		{"ab bc cd", []string{}},
		{"aa", []string{}},
		{"ab ba", []string{"a", "b"}},
		{"ab bc ca cd de ed", []string{"a", "b", "c"}},
		{"ab bc cb cd dc da", []string{"a", "b", "c", "d"}},
		{"ab ac ba cd de ef fc", []string{"c", "d", "e", "f"}},
	}
	for _, c := range cases {
		g := make(graph[string])
		for _, e := range strings.Fields(c.edges) {
			g.add(e[:1], e[1:])
		}
		if diff := cmp.Diff(c.want, largestCycle(g)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.edges, diff)
		}
	}
}

// Both forms of a report hold all packages and stories.
func TestReport(t *testing.T) {
	r, err := measure("testdata/house", small)
	if err != nil {
		t.Fatal(err)
	}
	out := text([]report{r, r}, true)
	for _, want := range []string{
		"6 on edge.Edge", "3 of 5 in edge", "4; 6 if nobody stops", "edge/dataplane  1      1",
		"edge: edge/dataplane 1 protocol 4", "edge/retry.go: (*Edge).retry",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	keys := slices.Sorted(maps.Keys(back))
	if diff := cmp.Diff([]string{"dir", "packages", "references", "stories"}, keys); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
