package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the prefix of our own import paths.
const module = "hedgerow/"

// A rule says what the packages at and below a folder may import.
type rule struct {
	folder string
	ours   []string // our packages; "x/..." is x and all below it
	tests  []string // our packages that its tests import besides
	never  []string // of others', because of what the package must not contain
}

// rules is the table of the architecture. The longest folder that holds a
// package rules it, and a package without a rule is a mistake: the table is to
// be thought of first. Packages of one folder that is a product (edge,
// supernode, internal, integration) may import each other where the rule names
// them.
var rules = []rule{
	// Bytes in, values out: no sockets, clocks, logging or files. Time is an
	// argument, so the package time is needed.
	{folder: "protocol", never: []string{"net", "log/...", "os/...", "syscall", "golang.org/x/..."}},
	// Headers reach it as bytes; no sockets, no logging.
	{folder: "crypto", ours: []string{"internal/bucket", "internal/durable", "internal/textfile"}, never: []string{"net", "net/http", "log/..."}},
	// A list and its signature: bytes and times in, decisions out.
	{folder: "roster", ours: []string{"protocol", "crypto"}, never: []string{"net", "log/...", "os/...", "context", "syscall", "golang.org/x/..."}},
	// What is sent when and what is believed: no sockets, files or logging. Time is
	// an argument.
	{
		folder: "handshake", ours: []string{"protocol", "crypto", "internal/bucket", "internal/deadline"},
		never: []string{"net", "log/...", "os/...", "syscall", "golang.org/x/...", "github.com/..."},
	},
	// Both name the process that holds what they want, keys masked.
	{folder: "tap", ours: []string{"internal/deadline", "internal/interfaces", "internal/process", "tap/offload"}, tests: []string{"integration/lab", "internal/leak"}},
	{folder: "tap/taptest", ours: []string{"tap", "tap/offload"}},
	// Bytes in, values out, as protocol.
	{folder: "tap/offload", never: []string{"net", "log/...", "os/...", "syscall", "golang.org/x/..."}},
	// The simulated internet that its tests run in moves transport.Datagram.
	{folder: "nat/path", ours: []string{"nat/address", "nat/pmtu", "internal/deadline"}, tests: []string{"transport"}},
	{folder: "nat/address", ours: []string{"nat/nat64", "nat/stun", "internal/bucket", "internal/deadline", "internal/interfaces"}},
	{folder: "nat/pmtu", ours: []string{"internal/deadline"}},
	{folder: "nat/trains"},
	// It says where things are, and has no code.
	{folder: "nat"},
	{folder: "nat/stun"},
	{folder: "nat/turn", ours: []string{"nat/stun", "internal/bucket"}},
	// They ask the router; sockets and time are their own.
	{folder: "nat/portmap", ours: []string{"nat/address", "internal/interfaces", "internal/netwatch", "internal/handover"}},
	{folder: "nat/nattest", ours: []string{"nat/nat64", "transport"}},
	// Bytes and addresses in, values out.
	{folder: "nat/nat64", never: []string{"net", "log/...", "os/...", "syscall", "golang.org/x/..."}},
	{folder: "transport", ours: []string{"nat/nat64", "internal/process", "internal/waiter"}, tests: []string{"integration/lab", "internal/leak"}},
	// A stream knows neither sessions nor supernodes.
	{folder: "transport/stream", ours: []string{"internal/bucket", "internal/network", "internal/textfile"}, tests: []string{"transport"}},
	{
		folder: "edge",
		ours:   []string{"protocol", "crypto", "roster", "handshake", "tap", "tap/offload", "nat/address", "nat/path", "nat/pmtu", "nat/trains", "transport", "internal/...", "edge/..."},
		tests:  []string{"nat/stun"}, // they play the STUN server
		// Byte layouts, cipher names, ioctl numbers.
		never: []string{
			"encoding/binary", "golang.org/x/sys/...", "github.com/vishvananda/...",
			"crypto/aes", "crypto/cipher", "golang.org/x/crypto/...", "github.com/flynn/...",
		},
	},
	// It knows neither peers nor keys. Its tests play the STUN server.
	{
		folder: "edge/underlay", ours: []string{"protocol", "transport", "nat/address", "nat/nat64", "internal/bucket", "internal/timer"},
		tests: []string{"nat/stun"}, never: []string{"encoding/binary", "golang.org/x/sys/..."},
	},
	// The frame path sees nothing of the control half, and no NAT but by the
	// recogniser of STUN.
	{
		folder: "edge/dataplane",
		ours:   []string{"protocol", "crypto", "tap", "tap/offload", "transport", "nat/stun", "internal/bucket", "edge/bridge", "edge/dataplane/pmap", "internal/handover"},
		never: []string{
			"encoding/binary", "net/http", "log/...", "os/...", "context", "golang.org/x/sys/...", "github.com/vishvananda/...",
			"crypto/aes", "crypto/cipher", "golang.org/x/crypto/...", "github.com/flynn/...",
		},
	},
	{folder: "edge/dataplane/pmap"},
	// Machines of IEEE 802.1Q: frames and times in, decisions out.
	{
		folder: "edge/bridge", ours: []string{"protocol", "crypto", "internal/bucket"},
		never: []string{"net", "log/...", "os/...", "context", "syscall", "golang.org/x/...", "github.com/..."},
	},
	// Documents and how they are asked for. Who shows them needs no edge.
	{folder: "edge/control", ours: []string{"protocol", "internal/localapi"}},
	// What the network lets through, asked by sockets of its own.
	{folder: "edge/netcheck", ours: []string{"edge/control", "nat/address", "nat/stun", "nat/portmap", "internal/interfaces"}, tests: []string{"transport"}},
	// The commands open what must be opened.
	{folder: "edge/cmd", ours: []string{
		"protocol", "crypto", "roster", "tap", "nat/address", "nat/turn", "nat/portmap", "transport", "transport/stream", "internal/...", "edge/...",
	}},
	{
		folder: "supernode",
		ours:   []string{"protocol", "crypto", "roster", "handshake", "transport", "transport/stream", "nat/stun", "nat/turn", "internal/...", "supernode/..."},
	},
	// Rules, requests and times in, verdicts out.
	{
		folder: "supernode/admission", ours: []string{"crypto", "internal/password", "internal/textfile"},
		never: []string{"net", "log/...", "os/...", "syscall", "context", "golang.org/x/..."},
	},
	// Documents and how they are asked for. Who shows them needs no supernode.
	{folder: "supernode/admin", ours: []string{"transport", "transport/stream", "nat/turn", "internal/localapi"}},
	// What both commands share knows neither of them.
	{folder: "internal", ours: []string{"protocol", "crypto", "internal/..."}},
	// It hears prefixes that routers advertise.
	{folder: "internal/netwatch", ours: []string{"nat/nat64"}, tests: []string{"integration/lab"}},
	{folder: "internal/process"},
	{folder: "internal/deadline"},
	{folder: "internal/network"},
	{folder: "internal/turns"},
	{folder: "internal/interfaces"},
	{folder: "internal/printed"},
	{folder: "internal/bucket", ours: []string{"internal/network"}},
	{folder: "internal/format"},
	// Documents in, text out: it knows nobody who has the documents.
	{folder: "internal/render", ours: []string{"protocol", "edge/control", "supernode/admin", "internal/format"}, tests: []string{"internal/cli", "transport/stream"}},
	{folder: "internal/durable"},
	{folder: "internal/textfile"},
	{folder: "integration", ours: []string{
		"protocol", "crypto", "roster", "handshake", "tap/...", "nat/...", "transport/...", "edge/...", "supernode/...", "internal/...", "integration/...",
	}},
}

// doubles are the test doubles: ordinary packages that any test, and no
// product, may import.
var doubles = []string{"internal/printed", "tap/taptest", "nat/nattest", "integration/lab", "integration/attack/adversary", "integration/attack/barrage"}

// pionFolders may import pion, in one file each, so that a change of its major
// version is a change of one line.
var pionFolders = []string{"nat/stun", "nat/turn"}

const (
	pion      = "github.com/pion/..."
	waterutil = "github.com/songgao/water/waterutil" // a remote crash is known
)

// within reports whether an import path is the pattern, or below it when the
// pattern ends in "/...".
func within(path, pattern string) bool {
	folder, below := strings.CutSuffix(pattern, "/...")
	return path == folder || below && strings.HasPrefix(path, folder+"/")
}

func anyWithin(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return within(path, p) })
}

func isCommand(folder string) bool {
	return strings.Contains("/"+folder+"/", "/cmd/")
}

// ruleOf returns the rule of a folder of the module.
func ruleOf(folder string) (r rule, ok bool) {
	for _, candidate := range rules {
		if within(folder, candidate.folder+"/...") && len(candidate.folder) > len(r.folder) {
			r, ok = candidate, true
		}
	}
	return r, ok
}

// check returns why a file of a folder may not import a path, or nil. Both are
// of slashes; the folder is relative to the module.
func check(folder, imported string, test bool) error {
	r, ok := ruleOf(folder)
	if !ok {
		return fmt.Errorf("no rule for %s: add one to the table", folder)
	}
	switch {
	case imported == "C":
		return errors.New("no cgo")
	case within(imported, waterutil+"/..."):
		return errors.New("waterutil can be crashed from the network")
	case within(imported, pion) && !slices.Contains(pionFolders, folder):
		return fmt.Errorf("pion is imported by %s only", strings.Join(pionFolders, " and "))
	case !test && anyWithin(imported, r.never):
		return fmt.Errorf("%s never contains what this is for", r.folder)
	}
	own, ours := strings.CutPrefix(imported, module)
	switch {
	case !ours:
		return nil
	case isCommand(own):
		return errors.New("a command is run, not imported")
	case test && (own == folder || slices.Contains(doubles, own) || anyWithin(own, r.tests)):
		return nil
	case slices.Contains(doubles, own) && r.folder != "integration" && !slices.Contains(doubles, folder):
		return errors.New("a test double is for tests")
	case anyWithin(own, r.ours):
		return nil
	case len(r.ours) == 0:
		return fmt.Errorf("%s imports nothing of ours", r.folder)
	}
	return fmt.Errorf("of ours, %s imports only %s", r.folder, strings.Join(r.ours, ", "))
}

// A listed package is what go list says of it. The ignored files are those of
// other systems: they obey the same rules.
type listed struct {
	Dir, ImportPath                                              string
	GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
}

// goList runs go list in the module's root and decodes its answer.
func goList(t *testing.T, arguments ...string) (packages []listed) {
	t.Helper()
	c := exec.Command("go", append([]string{"list", "-e", "-json=Dir,ImportPath,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles"}, arguments...)...)
	c.Dir = ".."
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// imports returns the import paths of a file.
func imports(t *testing.T, file string) (paths []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return nil
	}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Error(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func TestImports(t *testing.T) {
	packages := goList(t, "./...")
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages", len(packages))
	}
	for _, p := range packages {
		folder := strings.TrimPrefix(p.ImportPath, module)
		pionFiles := 0
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
			test := strings.HasSuffix(name, "_test.go")
			paths := imports(t, filepath.Join(p.Dir, name))
			for _, imported := range paths {
				if err := check(folder, imported, test); err != nil {
					t.Errorf("%s imports %s: %v", path.Join(folder, name), imported, err)
				}
			}
			if !test && slices.ContainsFunc(paths, func(p string) bool { return within(p, pion) }) {
				pionFiles++
			}
		}
		if pionFiles > 1 {
			t.Errorf("%s: %d files import pion, not one", folder, pionFiles)
		}
	}
}

// Nothing that we build depends on waterutil by way of others either.
func TestDependencies(t *testing.T) {
	for _, p := range goList(t, "-deps", "-test", "./...") {
		if within(p.ImportPath, waterutil+"/...") {
			t.Errorf("%s is among the dependencies", p.ImportPath)
		}
	}
}

// The rules themselves: what they let pass, and what they do not.
func TestImportRules(t *testing.T) {
	cases := []struct {
		folder, imported string
		test, allowed    bool
	}{
		{"protocol", "encoding/binary", false, true},
		{"protocol", "net/netip", false, true},
		{"protocol", "net", false, false},
		{"protocol", "log/slog", false, false},
		{"protocol", "hedgerow/crypto", false, false},
		{"crypto", "hedgerow/protocol", false, false},
		{"crypto", "hedgerow/protocol", true, false},
		{"crypto", "hedgerow/internal/durable", false, true},
		{"crypto", "hedgerow/internal/cli", false, false},
		{"internal/durable", "hedgerow/crypto", false, false},
		{"crypto", "hedgerow/crypto", true, true},
		{"handshake", "hedgerow/protocol", false, true},
		{"handshake", "hedgerow/crypto", false, true},
		{"handshake", "net/netip", false, true},
		{"handshake", "net", false, false},
		{"handshake", "log/slog", false, false},
		{"handshake", "os", false, false},
		{"handshake", "github.com/flynn/noise", false, false},
		{"handshake", "hedgerow/transport", false, false},
		{"handshake", "hedgerow/edge", false, false},
		{"crypto", "hedgerow/handshake", false, false},
		{"tap", "github.com/songgao/water", false, true},
		{"tap", "github.com/songgao/water/waterutil", false, false},
		{"tap", "C", false, false},
		{"tap/taptest", "hedgerow/tap", false, true},
		{"nat", "hedgerow/nat/path", false, false},
		{"nat/path", "hedgerow/nat/address", false, true},
		{"nat/path", "hedgerow/nat/pmtu", false, true},
		{"nat/path", "hedgerow/nat/stun", false, false},
		{"nat/path", "hedgerow/transport", false, false},
		{"nat/path", "hedgerow/transport", true, true},
		{"nat/path", "hedgerow/nat/nattest", true, true},
		{"nat/path", "hedgerow/nat/nattest", false, false},
		{"nat/path", "github.com/pion/stun", false, false},
		{"nat/address", "hedgerow/nat/stun", false, true},
		{"nat/address", "hedgerow/nat/path", false, false},
		{"nat/pmtu", "hedgerow/nat/address", false, false},
		{"nat/pmtu", "hedgerow/nat/path", false, false},
		{"nat/stun", "github.com/pion/stun", false, true},
		{"nat/turn", "github.com/pion/turn/v2", false, true},
		{"nat/nattest", "hedgerow/transport", false, true},
		{"nat/nattest", "hedgerow/nat/path", false, false},
		{"edge", "hedgerow/protocol", false, true},
		{"edge", "hedgerow/handshake", false, true},
		{"edge", "hedgerow/edge/control", false, true},
		{"edge", "hedgerow/internal/localapi", false, true},
		{"edge", "hedgerow/supernode", false, false},
		{"edge", "hedgerow/nat/stun", false, false},
		{"edge", "hedgerow/tap/taptest", false, false},
		{"edge", "hedgerow/tap/taptest", true, true},
		{"edge", "encoding/binary", false, false},
		{"edge", "encoding/binary", true, true},
		{"edge/underlay", "hedgerow/nat/address", false, true},
		{"edge/underlay", "hedgerow/internal/timer", false, true},
		{"edge/underlay", "hedgerow/edge", false, false},
		{"edge/underlay", "hedgerow/nat/path", false, false},
		{"edge/underlay", "hedgerow/crypto", false, false},
		{"edge/underlay", "hedgerow/transport", false, true},
		{"edge/underlay", "hedgerow/nat/stun", true, true},
		{"edge", "hedgerow/edge/dataplane", false, true},
		{"edge/dataplane", "hedgerow/edge", false, false},
		{"edge/dataplane", "hedgerow/edge/control", false, false},
		{"edge/dataplane", "hedgerow/nat/path", false, false},
		{"edge/dataplane", "hedgerow/nat/stun", false, true},
		{"edge/dataplane", "hedgerow/edge/dataplane/pmap", false, true},
		{"edge/dataplane", "log/slog", false, false},
		{"edge/dataplane/pmap", "hedgerow/protocol", false, false},
		{"edge/cmd/edge", "hedgerow/edge", false, true},
		{"edge/cmd/edge", "hedgerow/supernode", false, false},
		{"edge/cmd/edge", "golang.org/x/sys/unix", false, true},
		{"supernode", "hedgerow/handshake", false, true},
		{"edge/control", "hedgerow/edge", false, false},
		{"edge/control", "hedgerow/crypto", false, false},
		{"supernode/admin", "hedgerow/supernode", false, false},
		{"supernode", "hedgerow/supernode/admin", false, true},
		{"supernode", "hedgerow/nat/stun", false, true},
		{"supernode", "hedgerow/nat/path", false, false},
		{"supernode", "hedgerow/tap", false, false},
		{"supernode", "hedgerow/edge", false, false},
		{"supernode/cmd/supernode", "hedgerow/supernode/admin", false, true},
		{"internal/cli", "hedgerow/edge", false, false},
		{"internal/cli", "hedgerow/edge/control", false, false},
		{"internal/format", "hedgerow/protocol", false, false},
		{"internal/render", "hedgerow/edge/control", false, true},
		{"internal/render", "hedgerow/supernode/admin", false, true},
		{"internal/render", "hedgerow/edge", false, false},
		{"internal/render", "hedgerow/supernode", false, false},
		{"supernode/cmd/supernode", "hedgerow/internal/render", false, true},
		{"internal/cli", "hedgerow/internal/localapi", false, true},
		{"integration", "hedgerow/supernode", false, true},
		{"integration", "hedgerow/edge/cmd/edge", true, false},
		{"integration/demo", "hedgerow/integration/lab", false, true},
		{"supernode", "hedgerow/integration/lab", true, true},
		{"supernode", "hedgerow/integration", true, false},
		{"unheard/of", "fmt", false, false},
	}
	for _, c := range cases {
		if err := check(c.folder, c.imported, c.test); (err == nil) != c.allowed {
			t.Errorf("%s imports %s (test: %v): %v", c.folder, c.imported, c.test, err)
		}
	}
}
