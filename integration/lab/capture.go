//go:build linux

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Capture records the frames that pass a link, in memory, until Stop or until
// the lab is closed.
type Capture struct {
	space  *Namespace
	file   *os.File // packet socket
	raw    syscall.RawConn
	single bool // the lab made the link: no frame may be longer than its MTU

	done chan struct{} // closed when the reader has ended
	once sync.Once     // Stop
	err  error         // of Stop

	mu      sync.Mutex
	packets []Packet
	bytes   int
	fault   error // first reason why the record is not whole
}

const (
	// captureBuffer is the size in bytes of the socket's buffer, for frames that
	// arrive while the reader waits for a processor.
	captureBuffer = 64 << 20
	// captureLimit bounds the record, in bytes of frames.
	captureLimit = 512 << 20
	// captureFrame is the longest frame that can be read, in bytes.
	captureFrame = 1 << 17
)

// Capture records the link of that name (HostLink, WANLink, LANLink, a TAP
// device): all frames that enter and leave the namespace by it. The offloads of
// the lab's links are turned off first.
func (n *Namespace) Capture(link string) (*Capture, error) {
	return n.capture(link, false)
}

// Capture records everything that enters the internet from any host or router:
// each datagram once, before it is counted, lost or blocked.
func (i *Internet) Capture() (*Capture, error) {
	return i.capture("", true)
}

// capture opens the socket; an empty link stands for all.
func (n *Namespace) capture(link string, incoming bool) (*Capture, error) {
	if err := n.lab.DisableOffloads(); err != nil {
		return nil, err
	}
	c := &Capture{space: n, single: n.lab.owns(n, link), done: make(chan struct{})}
	err := n.Do(func() error { return c.open(link, incoming) })
	if err != nil {
		return nil, fmt.Errorf("%s: capture %s: %w", n.name, link, err)
	}
	n.mu.Lock()
	n.captures[c] = struct{}{}
	n.mu.Unlock()
	go c.read()
	return c, nil
}

// owns reports whether the lab made a link of the namespace, or all of them, so
// that they carry single datagrams.
func (l *Lab) owns(n *Namespace, link string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.links {
		if e.space == n && (e.name == link || link == "") {
			return true
		}
	}
	return link == ""
}

func (c *Capture) open(link string, incoming bool) error {
	// Protocol 0: nothing arrives before the socket is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	c.file = os.NewFile(uintptr(fd), "capture")
	type option struct{ level, name, value int }
	options := []option{
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
	}
	if incoming {
		options = append(options, option{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1})
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer) != nil {
		// The root of a user namespace gets the system's limit only; Stop
		// reports it if that was too little.
		options = append(options, option{unix.SOL_SOCKET, unix.SO_RCVBUF, captureBuffer})
	}
	address := &unix.SockaddrLinklayer{Protocol: bigEndian16(unix.ETH_P_ALL)}
	for _, o := range options {
		if err = unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			break
		}
	}
	if err == nil && link != "" {
		var i *net.Interface
		if i, err = net.InterfaceByName(link); err == nil {
			address.Ifindex = i.Index
		}
	}
	if err == nil {
		err = unix.Bind(fd, address)
	}
	if err == nil {
		c.raw, err = c.file.SyscallConn()
	}
	if err != nil {
		c.file.Close()
	}
	return err
}

// bigEndian16 is the C function htons.
func bigEndian16(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// read records until Stop ends its deadline, and then the frames that wait in
// the socket.
func (c *Capture) read() {
	defer close(c.done)
	frame, control := make([]byte, captureFrame), make([]byte, 256)
	for {
		err := c.raw.Read(func(fd uintptr) bool {
			return c.receive(int(fd), frame, control)
		})
		if err != nil {
			break
		}
	}
	c.raw.Control(func(fd uintptr) {
		for c.receive(int(fd), frame, control) {
		}
	})
}

// receive records one frame. It returns false when there is none.
func (c *Capture) receive(fd int, frame, control []byte) bool {
	size, controlSize, flags, _, err := unix.Recvmsg(fd, frame, control, unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EINTR) {
		return true
	}
	if errors.Is(err, unix.EAGAIN) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, unix.ENETDOWN) {
		return true // the error of a link that goes down comes once; the link may come up again
	}
	if err != nil {
		c.blame(err)
		return false
	}
	p := newPacket(frame[:size], control[:controlSize])
	switch {
	case flags&unix.MSG_TRUNC != 0:
		c.blame(fmt.Errorf("a frame longer than %d bytes", captureFrame))
	case c.single && len(p.Frame) > linkMTU+maxEthernetHeader:
		c.blame(fmt.Errorf("a frame of %d bytes: several datagrams in one", len(p.Frame)))
	}
	if c.bytes += len(p.Frame); c.bytes > captureLimit {
		c.blame(fmt.Errorf("more than %d bytes", captureLimit))
		return true
	}
	c.packets = append(c.packets, p)
	return true
}

// maxEthernetHeader is the Ethernet header with one 802.1Q tag, in bytes.
const maxEthernetHeader = 18

// blame remembers the first reason; the caller holds the lock.
func (c *Capture) blame(err error) {
	if c.fault == nil {
		c.fault = err
	}
}

// Packets returns the frames recorded so far.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packets[:len(c.packets):len(c.packets)]
}

// Stop ends the recording; every frame that passed the link before is in Packets
// when it returns. The error says that the record is not complete, or that a
// link of the lab carried something longer than a datagram. It may be called
// again.
func (c *Capture) Stop() error {
	c.once.Do(func() {
		c.raw.Control(func(fd uintptr) {
			// This filter accepts no frame: the rest is what waits in the
			// socket.
			nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
			unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
		})
		c.file.SetReadDeadline(time.Unix(1, 0))
		<-c.done
		var lost *unix.TpacketStats
		c.raw.Control(func(fd uintptr) {
			lost, _ = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
		})
		c.mu.Lock()
		if lost != nil && lost.Drops > 0 {
			c.blame(fmt.Errorf("%d frames lost for want of room", lost.Drops))
		}
		if c.fault != nil {
			c.err = fmt.Errorf("%s: capture: %w", c.space.name, c.fault)
		}
		c.mu.Unlock()
		c.file.Close()
		c.space.mu.Lock()
		delete(c.space.captures, c)
		c.space.mu.Unlock()
	})
	return c.err
}
