package transport

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hedgerow/internal/process"
)

// Holder finds the process that has a UDP port open, on any address, in the
// network namespace of the calling thread. command is its command line,
// shortened to 60 bytes, without keys and control characters. Only root sees the
// processes of other users; ok is false when Holder found none.
func Holder(port uint16) (pid int, command string, ok bool) {
	sockets := make(map[string]bool)
	for _, table := range []string{"udp", "udp6"} {
		file, err := os.Open(filepath.Join("/proc/thread-self/net", table))
		if err != nil {
			continue
		}
		socketsOf(file, port, sockets)
		file.Close()
	}
	if len(sockets) == 0 {
		return 0, "", false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, "", false
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && holdsSocket(pid, sockets) {
			return pid, process.Command(pid), true
		}
	}
	return 0, "", false
}

// socketsOf reads a table of UDP sockets (proc(5), /proc/net/udp) and adds those
// bound to port, in the form in which /proc/PID/fd names them.
func socketsOf(table io.Reader, port uint16, sockets map[string]bool) {
	const (
		local = 1 // column of the local address, "00000000:1DE6"
		inode = 9
	)
	for lines := bufio.NewScanner(table); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) <= inode {
			continue
		}
		_, hex, ok := strings.Cut(fields[local], ":")
		if !ok {
			continue
		}
		if p, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(p) == port && fields[inode] != "0" {
			sockets["socket:["+fields[inode]+"]"] = true
		}
	}
}

// holdsSocket reports whether a process has one of the sockets open. Processes
// of other users answer only root.
func holdsSocket(pid int, sockets map[string]bool) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if target, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && sockets[target] {
			return true
		}
	}
	return false
}
