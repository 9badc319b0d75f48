package localapi

import (
	"bufio"
	"errors"
	"os"
	"strings"
)

// ErrRemoved says that a process listens on the socket, and somebody has removed its file, so
// that nobody gets there. It is known on Linux; elsewhere the error is ErrNotRunning.
var ErrRemoved = errors.New("the file of the control socket was removed")

// unixSockets lists the sockets of this network namespace with the names that they were born
// with (proc(5)), where there is such a list.
const unixSockets = "/proc/net/unix"

// Removed returns the paths in a directory of control sockets that processes listen on and
// whose files were removed.
func Removed(dir string) (list []string) {
	for _, path := range listening() {
		rest, inside := strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
		if _, err := os.Lstat(path); inside && !strings.Contains(rest, "/") && errors.Is(err, os.ErrNotExist) {
			list = append(list, path)
		}
	}
	return list
}

// listening returns the paths of the control sockets that processes listen on.
func listening() (list []string) {
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
			list = append(list, words[7][:dot])
		}
	}
	return list
}
