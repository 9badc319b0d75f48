package main

import (
	"cmp"
	"slices"
)

// A report is what is measured of one checkout.
type report struct {
	Dir        string          `json:"dir"`
	Packages   []packageReport `json:"packages"`
	References []referenced    `json:"references"`
	Stories    []toldStory     `json:"stories"`
}

// A packageReport is what is measured of one package.
type packageReport struct {
	Path      string      `json:"path"`
	Files     int         `json:"files"`
	Functions int         `json:"functions"`
	Types     []sizedType `json:"types"`
	Lengths   lengths     `json:"lengths"`
	Cycles    cycles      `json:"cycles"`
	Exported  int         `json:"exported"`
	Commented int         `json:"commented"` // of the exported
}

// lengths are the measures of a package's functions.
type lengths struct {
	P50     int        `json:"p50"`
	P90     int        `json:"p90"`
	Longest function   `json:"longest"`
	Deepest function   `json:"deepest"`
	Past    []function `json:"past"` // longer than longFunction, the longest first
}

// cycles are the largest cycles in a package.
type cycles struct {
	Names     []string `json:"names"`     // files
	Calls     []string `json:"calls"`     // files
	Through   []string `json:"through"`   // files, through interfaces too
	Functions []string `json:"functions"` // functions that call each other
	// Methods are the files of the largest type's methods that form a cycle, out
	// of MethodFiles.
	Methods     []string `json:"methods"`
	MethodFiles int      `json:"method_files"`
}

// referenced is how often one package names what another one declares.
type referenced struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Count int    `json:"count"`
}

// measure measures the checkout in a folder, and tells stories about it.
func measure(dir string, stories []story) (report, error) {
	h, err := load(dir)
	if err != nil {
		return report{}, err
	}
	return h.report(dir, stories), nil
}

// report measures a house and tells stories about it.
func (h *house) report(dir string, stories []story) report {
	x := h.refer()
	r := report{Dir: dir, References: []referenced{}}
	for _, room := range h.sorted() {
		r.Packages = append(r.Packages, h.measure(x, room))
		for _, to := range h.sorted() {
			if n := x.between[room][to]; n > 0 {
				r.References = append(r.References, referenced{From: room.path, To: to.path, Count: n})
			}
		}
	}
	w := x.walker()
	for _, s := range stories {
		r.Stories = append(r.Stories, w.tell(s))
	}
	return r
}

// measure measures one package.
func (h *house) measure(x *references, r *room) packageReport {
	list := h.functions(r)
	byLength(list)
	p := packageReport{Path: r.path, Files: len(r.files), Functions: len(list), Types: h.sizes(r)}
	p.Exported, p.Commented = documented(r)
	p.Lengths = lengths{P50: percentile(list, 50), P90: percentile(list, 90), Past: []function{}}
	for _, f := range list {
		if f.Lines > longFunction {
			p.Lengths.Past = append(p.Lengths.Past, f)
		}
	}
	if len(list) > 0 {
		p.Lengths.Longest = list[0]
		p.Lengths.Deepest = slices.MaxFunc(list, func(a, b function) int { return cmp.Compare(a.Depth, b.Depth) })
	}
	methods := x.amongMethods(r, p.mostMethods().Type)
	p.Cycles = cycles{
		Names: largestCycle(x.names[r]), Calls: largestCycle(x.calls[r]), Through: largestCycle(x.through[r]),
		Functions: largestCycle(x.inRoom(r)), Methods: largestCycle(methods), MethodFiles: len(methods),
	}
	return p
}

// mostMethods returns the type with most methods of its own.
func (p *packageReport) mostMethods() sizedType {
	return largest(p.Types, func(t sizedType) int { return t.Methods })
}

// mostFields returns the type with most fields within reach.
func (p *packageReport) mostFields() sizedType {
	return largest(p.Types, func(t sizedType) int { return t.Reachable })
}
