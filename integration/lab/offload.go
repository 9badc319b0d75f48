//go:build linux

package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A veth hands packets on as they are: with segmentation offload "done by the
// hardware", one packet of 64 KiB crosses the whole lab in the place of fifty
// datagrams, and a counter, a capture or a policer sees one. A rig that looks
// at single datagrams turns this off.

// DisableOffloads makes every link of the lab, and those to come, carry single
// datagrams: it turns segmentation and receive offloads off, of UDP too, at all
// ends, and checks that they are. They cannot be turned on again. SetLoss and
// Capture call it.
func (l *Lab) DisableOffloads() error {
	// Locked throughout: a second caller must not go on before it is true.
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plain {
		return nil
	}
	for _, e := range l.links {
		if err := e.plain(); err != nil {
			return err
		}
	}
	l.plain = true
	return nil
}

// Offloads returns the names, as ethtool has them, of those offloads of a link
// that make one packet of several datagrams and are on now.
func (n *Namespace) Offloads(link string) (names []string, err error) {
	err = n.Do(func() error {
		f, err := readFeatures(link)
		if err != nil {
			return err
		}
		names = f.joining()
		return nil
	})
	return names, err
}

func (e end) plain() error {
	return e.space.Do(func() error {
		f, err := readFeatures(e.name)
		if err != nil {
			return err
		}
		if err := f.disable(f.joining()); err != nil {
			return err
		}
		f, err = readFeatures(e.name)
		if err != nil {
			return err
		}
		if left := f.joining(); len(left) > 0 {
			return fmt.Errorf("%s: link %s keeps the offloads %v", e.space.name, e.name, left)
		}
		return nil
	})
}

// features is the offloads of a link, by position in the kernel's string set.
type features struct {
	link   string
	names  []string
	active []bool
}

// joining lists the active offloads after whose work several datagrams are one
// packet: tx-udp-segmentation, tx-generic-segmentation, rx-gro and their like.
func (f *features) joining() (names []string) {
	for i, name := range f.names {
		joins := strings.Contains(name, "segmentation") || strings.Contains(name, "gso") ||
			strings.Contains(name, "gro") || strings.Contains(name, "lro")
		// Tunnels' segmentation is named after the tunnel; tx-gso-robust is a
		// property of a device, not an offload.
		if joins && f.active[i] && name != "tx-gso-robust" {
			names = append(names, name)
		}
	}
	return names
}

// Sizes in the ethtool ioctls (linux/ethtool.h).
const (
	ethStringSetFeatures = 4  // enum ethtool_stringset: ETH_SS_FEATURES
	ethStringLen         = 32 // ETH_GSTRING_LEN
)

// readFeatures asks for the features of a link of the thread's namespace.
func readFeatures(link string) (*features, error) {
	native := binary.NativeEndian
	// struct ethtool_sset_info: cmd, reserved, mask of sets, one length.
	info := make([]byte, 20)
	native.PutUint32(info, unix.ETHTOOL_GSSET_INFO)
	native.PutUint64(info[8:], 1<<ethStringSetFeatures)
	if err := ethtool(link, info); err != nil {
		return nil, err
	}
	count := int(native.Uint32(info[16:]))

	// struct ethtool_gstrings: cmd, set, length, strings.
	text := make([]byte, 12+count*ethStringLen)
	native.PutUint32(text, unix.ETHTOOL_GSTRINGS)
	native.PutUint32(text[4:], ethStringSetFeatures)
	native.PutUint32(text[8:], uint32(count))
	if err := ethtool(link, text); err != nil {
		return nil, err
	}

	// struct ethtool_gfeatures: cmd, blocks, and per 32 features four masks:
	// available, requested, active, never changed.
	blocks := (count + 31) / 32
	state := make([]byte, 8+blocks*16)
	native.PutUint32(state, unix.ETHTOOL_GFEATURES)
	native.PutUint32(state[4:], uint32(blocks))
	if err := ethtool(link, state); err != nil {
		return nil, err
	}
	f := &features{link: link}
	for i := range count {
		name, _, _ := bytes.Cut(text[12+i*ethStringLen:][:ethStringLen], []byte{0})
		f.names = append(f.names, string(name))
		mask := native.Uint32(state[8+i/32*16+8:])
		f.active = append(f.active, mask>>(i%32)&1 == 1)
	}
	return f, nil
}

// disable asks for the named features to be off. The kernel may refuse without
// an error; a caller that needs certainty reads again.
func (f *features) disable(names []string) error {
	// struct ethtool_sfeatures: cmd, blocks, and for each 32 features two masks:
	// the features to change, and their new values.
	native := binary.NativeEndian
	blocks := (len(f.names) + 31) / 32
	request := make([]byte, 8+blocks*8)
	native.PutUint32(request, unix.ETHTOOL_SFEATURES)
	native.PutUint32(request[4:], uint32(blocks))
	for i, name := range f.names {
		if slices.Contains(names, name) {
			change := request[8+i/32*8:]
			native.PutUint32(change, native.Uint32(change)|1<<(i%32))
		}
	}
	return ethtool(f.link, request)
}

// ethtool makes the ioctl SIOCETHTOOL for a link of the thread's namespace;
// request is read and overwritten by the kernel.
func ethtool(link string, request []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// struct ifreq: the name, and a union that holds a pointer here.
	var ifreq struct {
		name    [unix.IFNAMSIZ]byte
		pointer unsafe.Pointer
		_       [16]byte
	}
	copy(ifreq.name[:unix.IFNAMSIZ-1], link)
	ifreq.pointer = unsafe.Pointer(&request[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq)))
	runtime.KeepAlive(request)
	if errno != 0 {
		return fmt.Errorf("ethtool %s: %w", link, errno)
	}
	return nil
}
