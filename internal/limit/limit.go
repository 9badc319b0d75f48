// Package limit knows the limits of a machine that a user can raise: what has run out when
// the system refuses, and how much memory a container has.
package limit

import (
	"errors"
	"syscall"
)

// limits are what a machine may run out of or refuse, each with what to do about it.
var limits = []struct {
	errno  syscall.Errno
	advice string
}{
	{syscall.EMFILE, "This process may have no more files open: type ulimit -n 1024 before it (systemd: LimitNOFILE=1024; a container: --ulimit nofile=1024)"},
	{syscall.ENFILE, "This machine may have no more files open: raise sysctl fs.file-max, or end what has them open"},
	{syscall.ENOSPC, "The disk is full, or has no inodes left: make room (df -h, df -i)"},
	{syscall.EDQUOT, "The disk quota of this user is used up: make room"},
	{syscall.EROFS, "The file system is read-only: choose a place on another one, or mount one there"},
	{syscall.ENOMEM, "The machine or the container has no memory left: give it more"},
}

// Advice returns what to do about the limit of the machine that an error comes from, as a
// sentence with its number (docs/debugging.md, "Numbers of messages"); empty: it comes
// from none.
func Advice(err error) string {
	for _, l := range limits {
		if errors.Is(err, l.errno) {
			return l.advice + ". [E46]"
		}
	}
	return ""
}
