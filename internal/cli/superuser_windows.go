package cli

import "golang.org/x/sys/windows"

// superuser reports whether the process is elevated.
func superuser() bool { return windows.GetCurrentProcessToken().IsElevated() }
