package tap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// explain puts a refused open into a sentence.
func (l *netif) explain(err error) error {
	var f *openFault
	if !errors.As(err, &f) {
		return err
	}
	e := &OpenError{Errno: f.errno}
	if f.step == stepNode {
		e.Code, e.Sentence = explainNode(f)
	} else {
		e.Code, e.Sentence = l.explainAttach(f)
	}
	return e
}

// explainNode explains why the device node could not be opened.
func explainNode(f *openFault) (code, sentence string) {
	switch f.errno {
	case unix.ENOENT, unix.ENOTDIR:
		return "E01", fmt.Sprintf("cannot open %s: it does not exist. Load the module (modprobe tun; OpenWrt: opkg install kmod-tun) or give the container --device /dev/net/tun (Proxmox: pct set ID --dev0 /dev/net/tun).%s", f.node, restartNote(moduleFolder))
	case unix.ENODEV, unix.ENXIO:
		return "E01", fmt.Sprintf("cannot open %s: the kernel has no driver behind it. Load the module (modprobe tun; OpenWrt: opkg install kmod-tun).%s", f.node, restartNote(moduleFolder))
	case unix.EACCES:
		return "E03", fmt.Sprintf("no permission on %s%s. Run with sudo, or let everybody open it, as most systems do: chmod 0666 %s (CAP_NET_ADMIN still guards what it can do).", f.node, nodeMode(f.node), f.node)
	case unix.EPERM:
		return "E03", fmt.Sprintf("no permission on %s: the container's device rules forbid it. Start the container with --device /dev/net/tun --cap-add NET_ADMIN (systemd: DeviceAllow=/dev/net/tun rw).", f.node)
	}
	return "", fmt.Sprintf("cannot open %s: %s.", f.node, f.errno.Error())
}

// moduleFolder has a folder of modules for each kernel that is installed.
const moduleFolder = "/lib/modules"

// restartNote says that the modules of the running kernel are gone while those of another
// are there, as after an update until the machine is started anew: then no module can be
// loaded. It is empty otherwise, as in containers, which have none.
func restartNote(folder string) string {
	var u unix.Utsname
	if installed, err := os.ReadDir(folder); err != nil || len(installed) == 0 || unix.Uname(&u) != nil {
		return ""
	}
	running := unix.ByteSliceToString(u.Release[:])
	if _, err := os.Stat(filepath.Join(folder, running)); !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return fmt.Sprintf(" The kernel was updated: the modules of the one that runs, %s, are gone, so restart this machine first.", running)
}

// nodeMode returns the node's mode and owner for the sentence, or "" if they
// cannot be read.
func nodeMode(node string) string {
	var st unix.Stat_t
	if unix.Stat(node, &st) != nil {
		return ""
	}
	owner := fmt.Sprintf("uid %d", st.Uid)
	if st.Uid == 0 {
		owner = "root"
	}
	return fmt.Sprintf(" (mode %04o, %s)", st.Mode&0o7777, owner)
}

// explainAttach explains why the interface was refused.
func (l *netif) explainAttach(f *openFault) (code, sentence string) {
	switch f.errno {
	case unix.EPERM:
		return "E02", l.forbidden()
	case unix.EBUSY:
		return "E04", l.busy()
	case unix.EINVAL:
		return "E05", l.wrongKind("its kind is another")
	case unix.EBADFD, unix.ENODEV:
		return "", fmt.Sprintf("%s was deleted while it was being opened. Try again.", l.name)
	}
	return "", fmt.Sprintf("cannot open %s: %s.", l.name, f.errno.Error())
}

// forbidden is the sentence of E02.
func (l *netif) forbidden() string {
	verb := "create"
	if l.exists() {
		verb = "use"
	}
	return fmt.Sprintf("not allowed to %s %s: needs CAP_NET_ADMIN. Run with sudo, or once: setcap cap_net_admin+ep $(which edge), or pre-create it: ip tuntap add %s mode tap user $USER.", verb, l.name, l.name)
}

// busy is the sentence of E04. The holder stays unnamed when /proc does not show
// other users' processes.
func (l *netif) busy() string {
	by := "another process"
	if pid, command, ok := deviceHolder(l.name); ok {
		by = fmt.Sprintf("pid %d (%s)", pid, command)
	}
	sentence := fmt.Sprintf("%s is already in use by %s.", l.name, by)
	if free, ok := l.freeName(); ok {
		sentence += fmt.Sprintf(" Choose -d %s.", free)
	}
	return sentence
}

// wrongKind is the sentence of E05.
func (l *netif) wrongKind(kind string) string {
	return fmt.Sprintf("%s exists but is not a TAP (%s). Choose another -d name.", l.name, kind)
}

// refused explains a change of the interface that the kernel did not allow.
func (l *netif) refused(what string, err error) *OpenError {
	errno := errnoOf(err)
	switch errno {
	case unix.EPERM, unix.EACCES:
		return &OpenError{Code: "E02", Errno: errno, Sentence: fmt.Sprintf("not allowed to %s: needs CAP_NET_ADMIN. Run with sudo, or once: setcap cap_net_admin+ep $(which edge), or do it beforehand with ip link.", what)}
	case unix.ENODEV:
		return &OpenError{Errno: errno, Sentence: fmt.Sprintf("cannot %s: it was deleted meanwhile. Try again.", what)}
	}
	return &OpenError{Errno: errno, Sentence: fmt.Sprintf("cannot %s: %s.", what, reason(err))}
}

// reason returns the errno's words without netlink's wrapping, or the error's
// own when there is no errno in it.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
