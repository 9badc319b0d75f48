package vmgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// kernelGroup is the multicast group of the kernel's own uevents; udev's have another.
	kernelGroup = 1
	// messageRoom is the room for one uevent in bytes: the kernel builds none longer than
	// 2 KiB (UEVENT_BUFFER_SIZE) and the path of its device.
	messageRoom = 8 << 10
	// bufferRoom is how many bytes of uevents may wait, all of them in one burst.
	bufferRoom = 1 << 20
	// burstTime is how long a burst of uevents is left to end after some were dropped. It
	// may last for seconds, as at the start of a system, and is one report.
	burstTime = time.Second
)

// newGeneration is the variable of the uevent of a new generation (drivers/virt/vmgenid.c).
const newGeneration = "NEW_VMGENID=1"

// Watch calls forked for each new generation of this virtual machine until ctx ends, and
// returns nil then. It also calls it a second after the kernel has dropped uevents, since
// one of them may have said so. It calls it from its own goroutine. The error says that the
// system does not let this process listen.
func Watch(ctx context.Context, forked func()) error { return watch(ctx, newGeneration, forked) }

// watch is Watch for any variable of a uevent.
func watch(ctx context.Context, variable string, found func()) error {
	file, err := listen()
	if err != nil {
		return fmt.Errorf("cannot listen for generations of the virtual machine: %w", err)
	}
	defer file.Close()
	defer context.AfterFunc(ctx, func() { _ = file.Close() })()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, messageRoom)
	for {
		var n int
		var from unix.Sockaddr
		var fault error
		err := raw.Read(func(fd uintptr) bool {
			n, from, fault = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(fault, unix.EAGAIN)
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case errors.Is(fault, unix.EINTR):
		case errors.Is(fault, unix.ENOBUFS):
			select {
			case <-time.After(burstTime):
				found() // also for what was dropped meanwhile; the next loss is told by itself
			case <-ctx.Done():
				return nil
			}
		case fault != nil:
			return fault
		case fromKernel(from) && has(buf[:n], variable):
			found()
		}
	}
}

// listen opens the socket of uevents.
func listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferRoom) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferRoom) // as much as the system allows
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "uevent"), nil
}

// fromKernel reports whether a message is the kernel's, whose address is 0: a process
// with the capability can send to the group, too.
func fromKernel(from unix.Sockaddr) bool {
	a, ok := from.(*unix.SockaddrNetlink)
	return ok && a.Pid == 0
}

// has reports whether a uevent has a variable with a value, "NAME=VALUE". Variables
// follow the line with action and device, each behind a zero byte.
func has(event []byte, variable string) bool {
	_, variables, ok := bytes.Cut(event, []byte{0})
	for ok && len(variables) > 0 {
		var v []byte
		v, variables, _ = bytes.Cut(variables, []byte{0})
		if string(v) == variable {
			return true
		}
	}
	return false
}
