package main

import (
	"go/ast"
)

// documented counts the exported identifiers of a package and those of them with
// a comment: what is declared at its level, the methods of exported types, and the
// fields and methods that exported structs and interfaces list. A comment on a
// group of constants or variables is one on each.
func documented(r *room) (all, with int) {
	count := func(id *ast.Ident, comments ...*ast.CommentGroup) {
		if !id.IsExported() {
			return
		}
		all++
		for _, c := range comments {
			if c != nil {
				with++
				return
			}
		}
	}
	for _, f := range r.files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil || exportedReceiver(d.Recv) {
					count(d.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					countSpec(d, s, count)
				}
			}
		}
	}
	return all, with
}

// countSpec counts what one specification of a declaration declares.
func countSpec(d *ast.GenDecl, s ast.Spec, count func(*ast.Ident, ...*ast.CommentGroup)) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			count(name, s.Doc, s.Comment, d.Doc)
		}
	case *ast.TypeSpec:
		count(s.Name, s.Doc, s.Comment, d.Doc)
		if !s.Name.IsExported() {
			return
		}
		switch t := s.Type.(type) {
		case *ast.StructType:
			countFields(t.Fields, count)
		case *ast.InterfaceType:
			countFields(t.Methods, count)
		}
	}
}

// countFields counts the named fields of a struct or methods of an interface.
func countFields(list *ast.FieldList, count func(*ast.Ident, ...*ast.CommentGroup)) {
	for _, f := range list.List {
		for _, name := range f.Names {
			count(name, f.Doc, f.Comment)
		}
	}
}

// exportedReceiver reports whether a method's receiver is of an exported type.
func exportedReceiver(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}
