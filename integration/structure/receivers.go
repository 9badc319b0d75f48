package main

import (
	"cmp"
	"go/types"
	"slices"
)

// A sized type is a type with its methods and fields counted.
type sizedType struct {
	Type string `json:"type"`
	// Methods are declared for it; Promoted come to it from types of ours that it
	// embeds.
	Methods  int `json:"methods"`
	Promoted int `json:"promoted"`
	// Fields stand in the struct, each embedded one counted as one; Reachable are
	// those that can be named without naming a substate: the fields of embedded
	// structs of ours in the place of these. Both are 0 for what is no struct.
	Fields    int `json:"fields"`
	Reachable int `json:"reachable"`
}

// sizes returns the named types of a package, by name.
func (h *house) sizes(r *room) []sizedType {
	var list []sizedType
	scope := r.types.Scope()
	for _, name := range scope.Names() {
		t, ok := scope.Lookup(name).(*types.TypeName)
		if !ok || t.IsAlias() {
			continue
		}
		named := t.Type().(*types.Named)
		if types.IsInterface(named) {
			continue
		}
		s := sizedType{Type: name, Methods: named.NumMethods(), Promoted: h.promoted(named)}
		if st, ok := named.Underlying().(*types.Struct); ok {
			s.Fields = st.NumFields()
			reached := make(map[string]bool)
			h.reach(r, st, reached)
			s.Reachable = len(reached)
		}
		list = append(list, s)
	}
	return list
}

// promoted counts the methods that a type has from embedded types of ours.
func (h *house) promoted(named *types.Named) (n int) {
	set := types.NewMethodSet(types.NewPointer(named))
	for i := range set.Len() {
		m := set.At(i)
		if len(m.Index()) > 1 && h.byObject[m.Obj().Pkg()] != nil {
			n++
		}
	}
	return n
}

// reach collects the names of the fields of a struct that code of a package can
// name without naming an embedded struct of ours.
func (h *house) reach(from *room, st *types.Struct, reached map[string]bool) {
	for i := range st.NumFields() {
		f := st.Field(i)
		if f.Name() == "_" || !f.Exported() && f.Pkg() != from.types {
			continue
		}
		if inner := h.embedded(f); inner != nil {
			h.reach(from, inner, reached)
			continue
		}
		reached[f.Name()] = true
	}
}

// embedded returns the struct of ours that a field embeds, or nil.
func (h *house) embedded(f *types.Var) *types.Struct {
	if !f.Embedded() {
		return nil
	}
	t := f.Type()
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || h.byObject[named.Obj().Pkg()] == nil {
		return nil
	}
	st, _ := named.Underlying().(*types.Struct)
	return st
}

// largest returns the type of which there is most; the first by name of several.
func largest(list []sizedType, of func(sizedType) int) sizedType {
	if len(list) == 0 {
		return sizedType{}
	}
	return slices.MaxFunc(list, func(a, b sizedType) int { return cmp.Or(cmp.Compare(of(a), of(b)), cmp.Compare(b.Type, a.Type)) })
}
