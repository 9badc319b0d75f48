//go:build unix

package crypto

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ownerOf returns the owner of a file, who has to be this user or root.
func ownerOf(path string, state fs.FileInfo) (*syscall.Stat_t, error) {
	owner, ok := state.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("%s: this file system tells no owner, so the file cannot be trusted: move it", path)
	}
	if user := os.Geteuid(); owner.Uid != 0 && int(owner.Uid) != user {
		return nil, fmt.Errorf("%s belongs to user %d, who could change it: type chown %d %s", path, owner.Uid, user, path)
	}
	return owner, nil
}

// checkSocketOwner demands of a socket that the owner is this user or root, and that others
// cannot connect, who would be given the keys as well.
func checkSocketOwner(path string, state fs.FileInfo) error {
	_, err := ownerOf(path, state)
	if mode := state.Mode().Perm(); err == nil && mode&0o007 != 0 {
		err = fmt.Errorf("%s has mode %#o, so everybody may ask there for the keys: type chmod 660 %s", path, mode, path)
	}
	return err
}

// checkOwner demands mode 0600 or 0400 and that the owner is this user or root.
func checkOwner(path string, state fs.FileInfo) error {
	owner, err := ownerOf(path, state)
	if err != nil {
		return err
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
