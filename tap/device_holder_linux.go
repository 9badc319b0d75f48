package tap

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hedgerow/internal/process"
)

// deviceHolder finds the process that has the interface open, by the "iff:" line
// that the tun driver writes into /proc/PID/fdinfo/FD. Names are unique within a
// network namespace only, so a process of our own namespace wins over others.
func deviceHolder(name string) (pid int, command string, ok bool) {
	home, _ := os.Readlink("/proc/thread-self/ns/net")
	for _, p := range processes() {
		if !holdsDevice(p, name) {
			continue
		}
		if livesIn(p, home) {
			return p, process.Command(p), true
		}
		if !ok {
			pid, ok = p, true
		}
	}
	if !ok {
		return 0, "", false
	}
	return pid, process.Command(pid), true
}

// livesIn reports whether a thread of a process is in a network namespace: each
// may be in its own.
func livesIn(pid int, space string) bool {
	links, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*/ns/net"))
	if err != nil {
		return false
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == space {
			return true
		}
	}
	return false
}

// processes lists the process ids of /proc.
func processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// holdsDevice reports whether a process has the interface open. Processes of
// other users answer only root.
func holdsDevice(pid int, name string) bool {
	base := filepath.Join("/proc", strconv.Itoa(pid))
	fds, err := os.ReadDir(filepath.Join(base, "fd"))
	if err != nil {
		return false
	}
	for _, fd := range fds {
		// The path of the open file tells without reading the state of every
		// file and socket.
		target, err := os.Readlink(filepath.Join(base, "fd", fd.Name()))
		if err != nil || !strings.HasSuffix(target, "tun") {
			continue
		}
		if interfaceOf(filepath.Join(base, "fdinfo", fd.Name())) == name {
			return true
		}
	}
	return false
}

// interfaceOf returns the value of "iff:" in a file of fdinfo.
func interfaceOf(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "iff:"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
