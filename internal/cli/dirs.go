package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	// Root says that the process runs as the superuser.
	Root bool
}

// ThisPlace returns the Place of this process.
func ThisPlace(program string) Place {
	return Place{Program: program, Env: os.Getenv, Root: os.Geteuid() == 0}
}

// StateDir returns the directory for what must outlive the process: the one
// that systemd made ($STATE_DIRECTORY), /var/lib/PROGRAM for the superuser,
// and for anybody else the XDG base directory for state. It is not created.
func (p Place) StateDir() (string, error) {
	if dir, _, _ := strings.Cut(p.Env("STATE_DIRECTORY"), ":"); dir != "" {
		return dir, nil
	}
	if p.Root {
		return filepath.Join("/var/lib", p.Program), nil
	}
	if dir := p.Env("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, p.Program), nil
	}
	if home := p.Env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local/state", p.Program), nil
	}
	return "", errors.New("no directory for the state is known here: give one with --state-dir DIR")
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

// RuntimeDirs returns the directories in which a control socket may be, the
// one to try first for a new one in front: the one that systemd made
// ($RUNTIME_DIRECTORY), the user's own, /run/PROGRAM, and at last one below
// the state directory, which is never shared with strangers as /tmp is.
func (p Place) RuntimeDirs() []string {
	var dirs []string
	if dir, _, _ := strings.Cut(p.Env("RUNTIME_DIRECTORY"), ":"); dir != "" {
		dirs = append(dirs, dir)
	}
	if dir := p.Env("XDG_RUNTIME_DIR"); !p.Root && filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, p.Program))
	}
	dirs = append(dirs, filepath.Join("/run", p.Program))
	if state, err := p.StateDir(); err == nil {
		dirs = append(dirs, filepath.Join(state, "run"))
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
