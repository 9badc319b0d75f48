package localapi

import (
	"bufio"
	"errors"
	"os"
	"slices"
	"strings"
)

// ErrRemoved says that a process listens on the socket, and somebody has removed its file, so
// that nobody gets there. It is known on Linux; elsewhere the error is ErrNotRunning.
var ErrRemoved = errors.New("the file of the control socket was removed")

// unixSockets lists the sockets of this network namespace with the names that they were born
// with (proc(5)), where there is such a list.
const unixSockets = "/proc/net/unix"

// removed reports whether the socket that was born under a name, and belongs at path, has lost
// its file. One that has not got its name yet is only beginning: Listen gives it that after it
// listens, and the old name is there until then.
func (s bornSocket) removed() bool {
	_, born := os.Lstat(s.birth)
	_, there := os.Lstat(s.path) // asked last: it was named meanwhile, or it is gone
	return errors.Is(born, os.ErrNotExist) && errors.Is(there, os.ErrNotExist)
}

// bornSocket is a control socket that a process listens on.
type bornSocket struct{ birth, path string }

// Removed returns the paths in a directory of control sockets that processes listen on and
// whose files were removed.
func Removed(dir string) (list []string) {
	for _, s := range listening() {
		rest, inside := strings.CutPrefix(s.path, strings.TrimSuffix(dir, "/")+"/")
		if inside && !strings.Contains(rest, "/") && s.removed() {
			list = append(list, s.path)
		}
	}
	return list
}

// isRemoved reports whether a process listens on the socket of a path that was removed.
func isRemoved(path string) bool {
	return slices.ContainsFunc(listening(), func(s bornSocket) bool { return s.path == path && s.removed() })
}

// listening returns the control sockets that processes listen on.
func listening() (list []bornSocket) {
	f, err := os.Open(unixSockets)
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// Num RefCount Protocol Flags Type St Inode Path
		words := strings.SplitN(strings.Join(strings.Fields(lines.Text()), " "), " ", 8)
		const accepting = "00010000" // __SO_ACCEPTCON
		if len(words) < 8 || words[3] != accepting {
			continue
		}
		dot := strings.LastIndexByte(words[7], '.')
		if dot > 0 && strings.Trim(words[7][dot+1:], "0123456789") == "" && dot+1 < len(words[7]) {
			list = append(list, bornSocket{birth: words[7], path: words[7][:dot]})
		}
	}
	return list
}
