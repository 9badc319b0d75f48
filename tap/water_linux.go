package tap

import (
	"os"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// openWater opens the device through songgao/water and gives it to d: one queue,
// which is read and written as a native one is. A failure is an openFault and
// leaves nothing open.
func (o opener) openWater(d *Device, w wish) error {
	w.multi = w.multi && w.existing
	if err := probe(o.node, w.cfg.Name, w.existing, w.multi); err != nil {
		return err
	}
	file, fd, err := newWater(w)
	if err != nil {
		return &openFault{step: stepAttach, node: o.node, errno: errnoOf(err)}
	}
	if w.existing {
		// A program before us may have left super-frames on, which would come
		// without the header that describes them.
		_ = o.kernel.offload(fd, 0)
	}
	d.file = file
	d.queues = []*Queue{newQueue(d, fd)}
	return nil
}

// newWater opens the device and marks it close-on-exec, which water forgets: a
// child process would keep the device alive after Close. ForkLock keeps other
// goroutines from starting a process between the two. The file owns the
// descriptor, and has to be kept as long as it is used.
func newWater(w wish) (file *os.File, fd int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	ifce, err := water.New(water.Config{
		DeviceType: water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name: w.cfg.Name,
			// false would clear the flag of a device that others made to stay.
			Persist:    w.existing,
			MultiQueue: w.multi,
		},
	})
	if err != nil {
		return nil, -1, err
	}
	file, ok := ifce.ReadWriteCloser.(*os.File)
	if !ok {
		ifce.Close()
		return nil, -1, unix.ENOTSUP
	}
	conn, err := file.SyscallConn()
	if err == nil {
		err = conn.Control(func(raw uintptr) { fd = int(raw) })
	}
	if err == nil {
		unix.CloseOnExec(fd)
		err = unix.SetNonblock(fd, true) // it is; the queue must not depend on it
	}
	if err != nil {
		file.Close()
		return nil, -1, err
	}
	return file, fd, nil
}
