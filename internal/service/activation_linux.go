package service

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstActivated is the first descriptor that a service manager passes (sd_listen_fds(3)).
const firstActivated = 3

// mostActivated bounds how many are taken.
const mostActivated = 64

// TakeActivated takes the sockets that the service manager has opened for this process, as
// LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES of the environment name them, and removes these:
// what this process starts is not meant. What is no socket is left out.
func TakeActivated() Activated { return takeActivated(firstActivated) }

func takeActivated(first int) (list Activated) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name)
	}
	n, err := strconv.Atoi(count)
	if pid != strconv.Itoa(os.Getpid()) || err != nil || n > mostActivated {
		return nil
	}
	for i := range n {
		fd := first + i
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil {
			continue
		}
		unix.CloseOnExec(fd)
		s := Socket{Stream: kind == unix.SOCK_STREAM, File: os.NewFile(uintptr(fd), "socket")}
		if i < len(names) {
			s.Name = names[i]
		}
		list = append(list, s)
	}
	return list
}
