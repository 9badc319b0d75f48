package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Place is what the choice of directories depends on.
type Place struct {
	// Program is the program's name, which names its directories.
	Program string
	// Env reads the environment.
	Env Environment
	// Root says that the process runs as the superuser, on Windows elevated.
	Root bool
	// System is the operating system as GOOS names it; empty: this one.
	System string
}

// ThisPlace returns the Place of this process.
func ThisPlace(program string) Place {
	return Place{Program: program, Env: os.Getenv, Root: superuser()}
}

// StateDir returns the directory for what must outlive the process: the one that systemd
// made ($STATE_DIRECTORY), one of the system for the superuser, and for anybody else one of
// the user's:
//
//	Linux    /var/lib/PROGRAM, $XDG_STATE_HOME/PROGRAM or ~/.local/state/PROGRAM
//	BSD      /var/db/PROGRAM, and as on Linux
//	macOS    /var/db/PROGRAM, $XDG_STATE_HOME/PROGRAM or ~/Library/Application Support/PROGRAM
//	Windows  %ProgramData%\PROGRAM, %LocalAppData%\PROGRAM
//
// It is not created.
func (p Place) StateDir() (string, error) {
	if p.system() == "windows" {
		return p.windowsDir(p.Root)
	}
	if dir, _, _ := strings.Cut(p.Env("STATE_DIRECTORY"), ":"); dir != "" {
		return dir, nil
	}
	if p.Root {
		if p.system() == "linux" {
			return path.Join("/var/lib", p.Program), nil
		}
		return path.Join("/var/db", p.Program), nil
	}
	if dir := p.Env("XDG_STATE_HOME"); path.IsAbs(dir) {
		return path.Join(dir, p.Program), nil
	}
	if home := p.Env("HOME"); path.IsAbs(home) {
		if p.system() == "darwin" {
			return path.Join(home, "Library/Application Support", p.Program), nil
		}
		return path.Join(home, ".local/state", p.Program), nil
	}
	return "", noStateDir("--state-dir DIR")
}

// noStateDir says that no directory is known, and what to type.
func noStateDir(example string) error {
	return fmt.Errorf("no directory for the state is known here: give one with %s", example)
}

// system returns the operating system.
func (p Place) system() string {
	if p.System == "" {
		return runtime.GOOS
	}
	return p.System
}

// windowsDir returns the directory on Windows that all users share, or the user's own. A
// service account may have the first one alone.
func (p Place) windowsDir(shared bool) (string, error) {
	variables := []string{"LOCALAPPDATA", "APPDATA"}
	if shared {
		variables = []string{"PROGRAMDATA", "ALLUSERSPROFILE"}
	}
	for _, name := range variables {
		dir := strings.TrimRight(p.Env(name), `\/`)
		drive := len(dir) >= 3 && dir[1] == ':' && (dir[2] == '\\' || dir[2] == '/')
		if drive || strings.HasPrefix(dir, `\\`) {
			return dir + `\` + p.Program, nil
		}
	}
	return "", noStateDir(`--state-dir C:\` + p.Program)
}

// StateDirOption returns the directory of the option --state-dir, else that of the
// environment variable (empty: of none), else StateDir.
func (p Place) StateDirOption(c *cli.Context, variable string) (string, error) {
	if dir := p.Option(c, "state-dir", variable); dir != "" {
		return dir, nil
	}
	return p.StateDir()
}

// Option returns an option's value from the command line, else from the environment
// variable of that name (empty: of none). An empty value counts as not given.
func (p Place) Option(c *cli.Context, name, variable string) string {
	if s, _ := String(c, name); s != "" || variable == "" {
		return s
	}
	return p.Env(variable)
}

// RuntimeDirs returns the directories in which a control socket may be, the one to try
// first for a new one in front: the one that systemd made ($RUNTIME_DIRECTORY), the user's
// own, /run/PROGRAM (/var/run/PROGRAM but on Linux), and at last one below the state
// directory, which is never shared with strangers as /tmp is. On Windows it is below the
// directories for the state: one's own first, and then that of the others, since whoever
// asks an edge need not be elevated.
func (p Place) RuntimeDirs() []string {
	var dirs []string
	if p.system() == "windows" {
		for _, shared := range []bool{p.Root, !p.Root} {
			if dir, err := p.windowsDir(shared); err == nil {
				dirs = append(dirs, dir+`\run`)
			}
		}
		return dirs
	}
	if dir, _, _ := strings.Cut(p.Env("RUNTIME_DIRECTORY"), ":"); dir != "" {
		dirs = append(dirs, dir)
	}
	if dir := p.Env("XDG_RUNTIME_DIR"); !p.Root && path.IsAbs(dir) {
		dirs = append(dirs, path.Join(dir, p.Program))
	}
	run := "/var/run"
	if p.system() == "linux" {
		run = "/run"
	}
	dirs = append(dirs, path.Join(run, p.Program))
	if state, err := p.StateDir(); err == nil {
		dirs = append(dirs, path.Join(state, "run"))
	}
	return slices.Compact(dirs)
}

// MakeRuntimeDir creates the first of RuntimeDirs in which a file can be made
// and returns it.
func (p Place) MakeRuntimeDir() (string, error) {
	var faults []error
	for _, dir := range p.RuntimeDirs() {
		err := writable(dir)
		if err == nil {
			return dir, nil
		}
		faults = append(faults, err)
	}
	return "", fmt.Errorf("no directory for the control socket: %w", errors.Join(faults...))
}

// writable creates dir if need be and tries whether a file can be made there.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".try-*")
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// Sockets returns the paths of the control sockets in RuntimeDirs, sorted
// within each directory. Directories that cannot be read count as empty.
func (p Place) Sockets() []string {
	var found []string
	for _, dir := range p.RuntimeDirs() {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.Type() == fs.ModeSocket && strings.HasSuffix(e.Name(), ".sock") {
				found = append(found, filepath.Join(dir, e.Name()))
			}
		}
	}
	return found
}

// longestName is the number of bytes up to which FileName keeps a name whole.
// Longer ones would not fit into the path of a socket.
const longestName = 48

// FileName encodes a name that people chose as the name of a file: letters,
// digits, '-', '_' and '.' stay, any other byte and a leading '.' become %XX,
// and what would be longer than 48 bytes is cut and ends in a hash of the
// whole. Two names never share a file name.
func FileName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		plain := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= longestName {
		return b.String()
	}
	// '~' occurs in no whole name, so a cut one cannot equal one.
	sum := sha256.Sum256([]byte(name))
	tail := "~" + hex.EncodeToString(sum[:8])
	return b.String()[:longestName-len(tail)] + tail
}
