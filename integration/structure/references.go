package main

import (
	"go/ast"
	"go/types"
	"slices"
)

// references are who names what, in all rooms.
type references struct {
	house *house
	// names and calls are graphs of the files of each room: by whatever is declared
	// at the level of the package and by methods, and by functions and methods that
	// have a body.
	names, calls map[*room]graph[string]
	// through is calls, and a method of an interface stands for those of ours that
	// implement it.
	through map[*room]graph[string]
	// between counts the names by which one room mentions another.
	between map[*room]map[*room]int
	// callees are the functions of ours that a function names, called or not.
	callees map[*types.Func][]*types.Func
	bodies  map[*types.Func]*ast.FuncDecl
	home    map[*types.Func]*room
	methods *dispatch
}

// refer finds the references in a house.
func (h *house) refer() *references {
	x := &references{
		house: h, names: make(map[*room]graph[string]), calls: make(map[*room]graph[string]), through: make(map[*room]graph[string]),
		between: make(map[*room]map[*room]int), callees: make(map[*types.Func][]*types.Func),
		bodies: make(map[*types.Func]*ast.FuncDecl), home: make(map[*types.Func]*room), methods: newDispatch(h),
	}
	for _, r := range h.rooms {
		x.names[r], x.calls[r], x.through[r] = make(graph[string]), make(graph[string]), make(graph[string])
		x.between[r] = make(map[*room]int)
		for _, f := range r.files {
			name := h.file(f.Pos())
			x.names[r].add(name, name)
			x.calls[r].add(name, name)
			x.through[r].add(name, name)
			for _, d := range f.Decls {
				x.scan(r, name, d)
			}
		}
	}
	return x
}

// scan takes in the identifiers of one declaration.
func (x *references) scan(r *room, file string, d ast.Decl) {
	var from *types.Func
	if fd, ok := d.(*ast.FuncDecl); ok {
		from = r.info.Defs[fd.Name].(*types.Func)
		x.bodies[from], x.home[from] = fd, r
	}
	ast.Inspect(d, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		obj := r.info.Uses[id]
		if obj == nil || obj.Pkg() == nil {
			return true
		}
		to := x.house.byObject[obj.Pkg()]
		if to == nil || !declared(obj) {
			return true
		}
		if to != r {
			x.between[r][to]++
		} else {
			x.names[r].add(file, x.house.file(obj.Pos()))
		}
		if f, ok := obj.(*types.Func); ok {
			x.call(r, file, from, f.Origin())
		}
		return true
	})
}

// call takes in that a function, or with nil a variable's initial value, names
// another one.
func (x *references) call(r *room, file string, from, to *types.Func) {
	targets := x.methods.of(to)
	if to.Pkg() == r.types && slices.Contains(targets, to) {
		x.calls[r].add(file, x.house.file(to.Pos()))
	}
	for _, f := range targets {
		if f.Pkg() == r.types {
			x.through[r].add(file, x.house.file(f.Pos()))
		}
		if from != nil {
			x.callees[from] = append(x.callees[from], f)
		}
	}
}

// inRoom is the graph of the functions of a room that call each other, by their
// names.
func (x *references) inRoom(r *room) graph[string] {
	g := make(graph[string])
	for f, list := range x.callees {
		for _, to := range list {
			if f.Pkg() == r.types && to.Pkg() == r.types {
				g.add(title(f), title(to))
			}
		}
	}
	return g
}

// amongMethods is the graph of the files that hold the methods of one type, by the
// calls between these methods only.
func (x *references) amongMethods(r *room, name string) graph[string] {
	of := func(f *types.Func) bool { return f.Pkg() == r.types && receiver(f) == name }
	g := make(graph[string])
	for f := range x.bodies {
		if of(f) {
			g.add(x.house.file(f.Pos()), x.house.file(f.Pos()))
		}
	}
	for f, list := range x.callees {
		for _, to := range list {
			if of(f) && of(to) {
				g.add(x.house.file(f.Pos()), x.house.file(to.Pos()))
			}
		}
	}
	return g
}

// declared reports whether an object is a method or declared at the level of a
// package: no field, no label, nothing local.
func declared(obj types.Object) bool {
	if f, ok := obj.(*types.Func); ok && f.Signature().Recv() != nil {
		return true
	}
	return obj.Parent() == obj.Pkg().Scope()
}

// dispatch knows which methods a method of an interface may stand for.
type dispatch struct {
	house *house
	types []*types.Named // of ours, but interfaces and generic ones
	known map[*types.Func][]*types.Func
}

func newDispatch(h *house) *dispatch {
	d := &dispatch{house: h, known: make(map[*types.Func][]*types.Func)}
	for _, r := range h.rooms {
		for _, name := range r.types.Scope().Names() {
			t, ok := r.types.Scope().Lookup(name).(*types.TypeName)
			if !ok || t.IsAlias() {
				continue
			}
			if named := t.Type().(*types.Named); !types.IsInterface(named) && named.TypeParams().Len() == 0 {
				d.types = append(d.types, named)
			}
		}
	}
	return d
}

// of returns the functions of ours that a call of f may reach: f itself, or the
// methods that implement it if it is one of an interface.
func (d *dispatch) of(f *types.Func) []*types.Func {
	recv := f.Signature().Recv()
	if recv == nil || !types.IsInterface(recv.Type()) {
		return []*types.Func{f}
	}
	list, ok := d.known[f]
	if ok {
		return list
	}
	face := recv.Type().Underlying().(*types.Interface)
	for _, t := range d.types {
		p := types.NewPointer(t)
		if !types.Implements(p, face) {
			continue
		}
		obj, _, _ := types.LookupFieldOrMethod(p, true, f.Pkg(), f.Name())
		// A struct with an interface in it has that one's method, which has no body.
		if m, ok := obj.(*types.Func); ok && d.house.byObject[m.Pkg()] != nil && !types.IsInterface(m.Signature().Recv().Type()) {
			list = append(list, m.Origin())
		}
	}
	d.known[f] = list
	return list
}
