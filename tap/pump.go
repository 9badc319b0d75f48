package tap

import (
	"errors"
	"io"
	"sync/atomic"

	"hedgerow/tap/offload"
)

// pumpFrames is how many frames wait in a pump. At 300 000 small frames a second
// that is under a millisecond, and the driver keeps a queue of its own behind it.
const pumpFrames = 256

// pump turns a device that can only be read by blocking into one that is read
// without: a goroutine reads into a bounded ring of buffers, and batches come
// from the ring. When the ring is full the goroutine waits, and the driver
// drops.
type pump struct {
	source io.Reader
	size   int           // bytes of the longest frame
	filled chan []byte   // frames in order
	free   chan []byte   // their buffers, for use again; nil where none was made yet
	ready  chan struct{} // one token: look again
	stop   chan struct{} // closed by the owner
	done   chan struct{} // closed when the goroutine has ended
	fault  atomic.Pointer[error]
}

// newPump starts reading from source, frames of at most size bytes.
func newPump(source io.Reader, size int) *pump {
	p := &pump{
		source: source,
		size:   size,
		filled: make(chan []byte, pumpFrames),
		free:   make(chan []byte, pumpFrames),
		ready:  make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	for range pumpFrames {
		p.free <- nil
	}
	go p.run()
	return p
}

// run reads until the source fails or the owner stops it.
func (p *pump) run() {
	defer close(p.done)
	for {
		var buf []byte
		select {
		case buf = <-p.free:
		case <-p.stop:
			return
		}
		if buf == nil {
			buf = make([]byte, p.size)
		}
		n, err := p.source.Read(buf[:p.size])
		if err == nil && n == 0 {
			err = errEmptyFrame // no driver delivers one, and a loop of them would spin
		}
		if err != nil {
			fault := err // not err itself, which would be allocated for every frame
			p.fault.Store(&fault)
			p.signal()
			return
		}
		p.filled <- buf[:n] // has room for every buffer that there is
		p.signal()
	}
}

// errEmptyFrame is a read that gave nothing and no reason.
var errEmptyFrame = errors.New("the driver gave an empty frame")

// signal leaves a token unless one is there.
func (p *pump) signal() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// pop copies waiting frames out of the ring, and returns how many. It returns
// the error of the source after the frames that came before it.
func (p *pump) pop(fs []Frame) (n int, err error) {
	// Read first: the frames before the fault are in the ring by now.
	fault := p.fault.Load()
	for n < len(fs) {
		select {
		case buf := <-p.filled:
			f := &fs[n]
			f.Len = copy(f.Buf[f.Off:], buf)
			f.Offload = offload.Header{}
			p.free <- buf
			n++
			continue
		default:
		}
		if n == 0 && fault != nil {
			return 0, *fault
		}
		break
	}
	return n, nil
}
