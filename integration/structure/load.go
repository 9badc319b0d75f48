package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A house is the source of a module, parsed and type-checked: its product
// packages, without tests and test doubles, for the system that this runs on.
type house struct {
	fset     *token.FileSet
	module   string
	rooms    []*room // dependencies before those who import them
	byPath   map[string]*room
	byObject map[*types.Package]*room
}

// A room is one package.
type room struct {
	path  string // relative to the module; "." for its root
	types *types.Package
	info  *types.Info
	files []*ast.File
}

// A listed package is what go list says of it.
type listed struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
	Module                  *struct {
		Path string
		Main bool
	}
	Error *struct{ Err string }
}

// isProduct reports whether a folder of the module holds product code: neither
// the tests of the whole nor a test double.
func isProduct(folder string) bool {
	for _, other := range []string{"integration", "tap/taptest", "nat/nattest"} {
		if folder == other || strings.HasPrefix(folder, other+"/") {
			return false
		}
	}
	return true
}

// load reads the module in a folder. Its own packages are checked from source, in
// one universe; those of others come from the export data that go list builds.
func load(dir string) (*house, error) {
	packages, err := list(dir)
	if err != nil {
		return nil, err
	}
	h := &house{fset: token.NewFileSet(), byPath: make(map[string]*room), byObject: make(map[*types.Package]*room)}
	exports := make(map[string]string)
	others := importer.ForCompiler(h.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("go list has no export data of %s", path)
		}
		return os.Open(exports[path])
	})
	for _, p := range packages {
		if p.Error != nil {
			return nil, errors.New(p.Error.Err)
		}
		if p.Module == nil || !p.Module.Main {
			exports[p.ImportPath] = p.Export
			continue
		}
		h.module = p.Module.Path
		folder := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, h.module), "/")
		if folder == "" {
			folder = "."
		}
		if !isProduct(folder) {
			continue
		}
		if err := h.add(folder, p, others); err != nil {
			return nil, err
		}
	}
	if len(h.rooms) == 0 {
		return nil, fmt.Errorf("%s holds no module with packages", dir)
	}
	return h, nil
}

// list runs go list in a folder: every package of the module and all that they
// depend on, dependencies first.
func list(dir string) (packages []listed, err error) {
	c := exec.Command("go", "list", "-deps", "-export", "-json=Dir,ImportPath,Export,GoFiles,Module,Error", "./...")
	c.Dir = dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, stderr.String())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("answer of go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// add parses and checks one package of the module.
func (h *house) add(folder string, p listed, others types.Importer) error {
	r := &room{path: folder, info: &types.Info{
		Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object),
	}}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(h.fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		r.files = append(r.files, f)
	}
	config := types.Config{Importer: importFunc(func(path string) (*types.Package, error) {
		if own := h.byPath[path]; own != nil {
			return own.types, nil
		}
		return others.Import(path)
	})}
	checked, err := config.Check(p.ImportPath, h.fset, r.files, r.info)
	if err != nil {
		return fmt.Errorf("check %s: %w", p.ImportPath, err)
	}
	r.types = checked
	h.rooms = append(h.rooms, r)
	h.byPath[p.ImportPath], h.byObject[checked] = r, r
	return nil
}

// importFunc is an importer that is one function.
type importFunc func(path string) (*types.Package, error)

// Import implements types.Importer.
func (f importFunc) Import(path string) (*types.Package, error) { return f(path) }

// file returns the name of the file that holds a position, without its folder.
func (h *house) file(pos token.Pos) string { return filepath.Base(h.fset.Position(pos).Filename) }

// lines returns how many lines a node has, its first and its last included.
func (h *house) lines(n ast.Node) int {
	return h.fset.Position(n.End()).Line - h.fset.Position(n.Pos()).Line + 1
}

// sorted returns the rooms by their paths.
func (h *house) sorted() []*room {
	return slices.SortedFunc(slices.Values(h.rooms), func(a, b *room) int { return strings.Compare(a.path, b.path) })
}
