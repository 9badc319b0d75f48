package tap

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"hedgerow/tap/offload"
)

// kernel is the calls of the tun driver that the native backend makes, by ioctl;
// a test replaces them by a kernel that refuses.
type kernel struct {
	attach     func(fd int, name string, flags uint16) syscall.Errno // TUNSETIFF
	headerSize func(fd, size int) syscall.Errno                      // TUNSETVNETHDRSZ
	offload    func(fd, features int) syscall.Errno                  // TUNSETOFFLOAD
}

// linuxKernel is the one that runs.
var linuxKernel = kernel{
	attach: setInterface,
	headerSize: func(fd, size int) syscall.Errno {
		return errnoIn(unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, size))
	},
	offload: func(fd, features int) syscall.Errno {
		return errnoIn(unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, features))
	},
}

// openNative opens the queues of the device and gives them to d. The notes name
// what the kernel refused. A failure leaves nothing open, and no interface that
// was not there.
func (o opener) openNative(d *Device, w wish) (notes []string, err error) {
	wanted := (allFeatures &^ w.cfg.Without).closed()
	first, flags, notes, err := o.firstQueue(w, wanted.Has(FeatureVnet))
	if err != nil {
		return nil, err
	}
	if wanted != allFeatures {
		notes = append(notes, (allFeatures&^wanted).String()+" (by option)")
	}
	fds := []int{first}
	defer func() {
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}
	}()
	for len(fds) < w.cfg.Queues {
		if flags&unix.IFF_MULTI_QUEUE == 0 {
			if w.existing {
				notes = append(notes, "several queues (the device was made for one)")
			}
			break
		}
		fd, refusal := o.openQueue(w.cfg.Name, flags)
		if refusal != nil {
			notes = append(notes, fmt.Sprintf("queue %d (%v)", len(fds)+1, refusal))
			break
		}
		fds = append(fds, fd)
	}
	if flags&unix.IFF_VNET_HDR == 0 {
		wanted = 0
	}
	features, refused := o.setFeatures(first, wanted)
	notes = append(notes, refused...)
	d.features = features
	for _, fd := range fds {
		d.queues = append(d.queues, newQueue(d, fd))
	}
	return notes, nil
}

// firstQueue opens a queue with as many features as the kernel allows: it asks
// for less as long as the kernel refuses, first without vnet headers and then
// without several queues.
//
// With IFF_NAPI, frames that are written to a queue go up the host's stack in
// the order in which they were written. Without it (Linux before 4.15), frames
// wait at the processor that wrote them, and a thread that moves to another
// processor may overtake its own.
func (o opener) firstQueue(w wish, vnet bool) (fd int, flags uint16, notes []string, err error) {
	flags = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_NAPI
	if vnet {
		flags |= unix.IFF_VNET_HDR
	}
	if w.multi {
		flags |= unix.IFF_MULTI_QUEUE
	}
	for {
		fd, err = o.openQueue(w.cfg.Name, flags)
		switch {
		case err == nil:
			return fd, flags, notes, nil
		case !waterMayDo(err):
			return -1, 0, nil, err
		case flags&unix.IFF_NAPI != 0:
			flags &^= unix.IFF_NAPI
		case flags&unix.IFF_VNET_HDR != 0:
			flags &^= unix.IFF_VNET_HDR
			notes = append(notes, fmt.Sprintf("vnet (%v)", err))
		case flags&unix.IFF_MULTI_QUEUE != 0 && !w.existing:
			flags &^= unix.IFF_MULTI_QUEUE
			notes = append(notes, fmt.Sprintf("several queues (%v)", err))
		default:
			return -1, 0, nil, err
		}
	}
}

// openQueue opens one queue of the device. The descriptor is not an os.File and
// so not in the runtime's poller.
func (o opener) openQueue(name string, flags uint16) (int, error) {
	fd, err := unix.Open(o.node, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &openFault{step: stepNode, node: o.node, errno: errnoOf(err)}
	}
	errno := o.kernel.attach(fd, name, flags)
	if errno == 0 && flags&unix.IFF_VNET_HDR != 0 {
		// A program before us may have left the device with another size.
		errno = o.kernel.headerSize(fd, offload.HeaderLen)
	}
	if errno != 0 {
		unix.Close(fd)
		return -1, &openFault{step: stepAttach, node: o.node, errno: errno}
	}
	return fd, nil
}

// waterMayDo reports whether an open that asks for less than this one, as water
// does, may fare better. A missing node, no permission and a device in use are
// the same for all.
func waterMayDo(err error) bool {
	f, ok := err.(*openFault)
	if !ok || f.step == stepNode {
		return false
	}
	switch f.errno {
	case unix.EPERM, unix.EACCES, unix.EBUSY, unix.EBADFD, unix.ENODEV:
		return false
	}
	return true
}

// setFeatures turns on the wanted features, or as many of them as the kernel
// accepts: it drops the newest first. It also turns off what another program
// left on.
func (o opener) setFeatures(fd int, wanted Features) (on Features, notes []string) {
	for _, last := range []Features{FeatureUSO, FeatureTSO, FeatureCsum} {
		if !wanted.Has(last) {
			continue
		}
		errno := o.kernel.offload(fd, offloadBits(wanted))
		if errno == 0 {
			return wanted, notes
		}
		wanted &^= last
		notes = append(notes, fmt.Sprintf("%s (%v)", last, errno))
	}
	_ = o.kernel.offload(fd, 0) // a kernel without the call has no features on
	return wanted, notes
}

// offloadBits are the TUN_F flags of a set of features.
func offloadBits(f Features) (bits int) {
	if f.Has(FeatureCsum) {
		bits |= unix.TUN_F_CSUM
	}
	if f.Has(FeatureTSO) {
		bits |= unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	}
	if f.Has(FeatureUSO) {
		bits |= unix.TUN_F_USO4 | unix.TUN_F_USO6
	}
	return bits
}
