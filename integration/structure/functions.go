package main

import (
	"cmp"
	"go/ast"
	"go/types"
	"slices"
)

// longFunction is how many lines a function mostly stays below.
const longFunction = 50

// A function is one that is declared, with its measures.
type function struct {
	Name  string `json:"name"` // (*T).m for a method
	File  string `json:"file"`
	Lines int    `json:"lines"` // from func to the closing brace
	// Depth is in how many conditions, loops, selections and function literals
	// the most deeply nested statement is; an else-if is as deep as its if.
	Depth int `json:"depth"`
}

// functions returns what a package declares, in no order.
func (h *house) functions(r *room) []function {
	var list []function
	for _, f := range r.files {
		for _, d := range f.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok && fd.Body != nil {
				list = append(list, function{
					Name: title(r.info.Defs[fd.Name].(*types.Func)), File: h.file(fd.Pos()), Lines: h.lines(fd), Depth: depth(fd.Body, 0),
				})
			}
		}
	}
	return list
}

// title names a function within its package.
func title(f *types.Func) string {
	recv := f.Signature().Recv()
	if recv == nil {
		return f.Name()
	}
	return "(" + types.TypeString(recv.Type(), func(*types.Package) string { return "" }) + ")." + f.Name()
}

// receiver names the type that a method is declared for, without its star; empty
// for what is no method.
func receiver(f *types.Func) string {
	recv := f.Signature().Recv()
	if recv == nil {
		return ""
	}
	t := recv.Type()
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if named, ok := t.(*types.Named); ok {
		return named.Obj().Name()
	}
	return ""
}

// depth returns how deep the statements in a node are nested at most, if the node
// itself is at a depth.
func depth(n ast.Node, at int) int {
	most := at
	ast.Inspect(n, func(inner ast.Node) bool {
		if inner == nil || inner == n {
			return true
		}
		switch inner := inner.(type) {
		case *ast.IfStmt:
			most = max(most, depthIf(inner, at+1))
		case *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt, *ast.FuncLit:
			most = max(most, depth(inner, at+1))
		default:
			return true
		}
		return false
	})
	return most
}

// depthIf is depth for a condition and its else-ifs.
func depthIf(s *ast.IfStmt, at int) int {
	most := max(depth(s.Cond, at), depth(s.Body, at))
	if s.Init != nil {
		most = max(most, depth(s.Init, at))
	}
	switch e := s.Else.(type) {
	case *ast.IfStmt:
		most = max(most, depthIf(e, at))
	case *ast.BlockStmt:
		most = max(most, depth(e, at))
	}
	return most
}

// byLength sorts functions, the longest first.
func byLength(list []function) {
	slices.SortFunc(list, func(a, b function) int { return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Name, b.Name)) })
}

// percentile returns how many lines p per cent of the functions have at most. The
// list is sorted by length, the longest first.
func percentile(list []function, p int) int {
	if len(list) == 0 {
		return 0
	}
	i := (len(list)*p + 99) / 100 // of n sorted upwards, the i-th
	return list[len(list)-max(i, 1)].Lines
}
