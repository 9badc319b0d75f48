//go:build !windows

package cli

import "os"

// superuser reports whether the process runs as the superuser.
func superuser() bool { return os.Geteuid() == 0 }
