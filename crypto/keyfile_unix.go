//go:build unix

package crypto

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner demands mode 0600 or 0400 and that the owner is this user or root.
func checkOwner(path string, state fs.FileInfo) error {
	owner, ok := state.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: this file system tells no owner, so the file cannot be trusted: move it", path)
	}
	if user := os.Geteuid(); owner.Uid != 0 && int(owner.Uid) != user {
		return fmt.Errorf("%s belongs to user %d, who could change it: type chown %d %s", path, owner.Uid, user, path)
	}
	mode := state.Mode().Perm()
	// A credential that systemd hands over is root's, with an access list for
	// the one service; the mask of that list shows as the group's read bit.
	if mode == 0o440 && owner.Uid == 0 && owner.Gid == 0 {
		return nil
	}
	if mode&0o177 != 0 {
		return fmt.Errorf("%s has mode %#o, so others may reach the secret in it: type chmod 600 %s", path, mode, path)
	}
	return nil
}

// inode returns the number that distinguishes a file from one put in its place.
func inode(state fs.FileInfo) uint64 {
	if s, ok := state.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino)
	}
	return 0
}
