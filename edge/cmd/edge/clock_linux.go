package main

import (
	"context"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"hedgerow/internal/vmgen"
)

// bootClock returns a clock that counts suspension, which Go's monotonic clock
// does not.
func bootClock() func() time.Duration {
	return func() time.Duration {
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
			return 0
		}
		return time.Duration(ts.Nano())
	}
}

// Where Linux says which machine it runs on, and since which boot.
const (
	machineFile = "/etc/machine-id" // machine-id(5): a clone is given another, if it is made with care
	bootFile    = "/proc/sys/kernel/random/boot_id"
)

// machine returns the identity of machine and boot: another one is read by a process
// that was restored on another machine, or on this one after a boot (criu(8)).
func machine() func() string {
	return func() string { return machineID(machineFile) + " " + machineID(bootFile) }
}

// machineID reads an identity of the machine; empty: it has none. It is read whenever an
// edge that was idle does something. Go's scheduler is not told of these calls, since the
// file is in memory: it would watch them by a thread that is woken for that.
func machineID(path string) string {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return ""
	}
	at := unix.AT_FDCWD
	fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(name)), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return ""
	}
	defer syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	var id [128]byte // they have 32 digits and 36 characters
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&id)), uintptr(len(id)))
	if errno != 0 {
		return ""
	}
	return strings.TrimSpace(string(id[:n]))
}

// lastingID reads an identity of the machine that stays with the machine; empty: it has
// none. One that is kept in memory is drawn at each boot, where the root is read-only
// (systemd-machine-id-commit(8)), and one in layers comes with a container's image and
// goes with it: neither says that a state directory came to another machine.
func lastingID(path string) string {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil || passing(int64(fs.Type)) {
		return ""
	}
	return machineID(path)
}

// passing reports whether a file system of that kind (statfs(2)) goes sooner than its
// machine.
func passing(kind int64) bool {
	switch uint32(kind) { // 32 bits of it count: it is signed on some machines
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC:
		return true
	}
	return false
}

// forks returns what tells of a virtual machine that was restored or cloned.
func forks() func(ctx context.Context, forked func()) error { return vmgen.Watch }
