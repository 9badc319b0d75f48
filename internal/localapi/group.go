package localapi

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// ShareWith gives the socket at path to a group, whose members may then connect
// without being the superuser. It returns user.UnknownGroupError when there is
// no such group, and an error that satisfies errors.Is(err, fs.ErrPermission)
// when the process may not change the group of a file.
func ShareWith(path, group string) error {
	g, err := user.LookupGroup(group)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("the id of group %s: %w", group, err)
	}
	return os.Lchown(path, -1, gid)
}
