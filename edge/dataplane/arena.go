package dataplane

import (
	"hedgerow/tap"
	"hedgerow/tap/offload"
)

// Room in the arena. What is behind the last frame when a datagram is opened
// there has to hold the headers of the device in front of a frame and an Ethernet
// header that is put back.
const (
	arenaGap    = 32 // bytes between two frames, at least offload.HeaderLen
	arenaBefore = 16 // bytes in front of an inner that DecodeFrame may write to
	arenaPrefix = 192
	arenaLen    = 2*superFrameLen + 4<<10
	arenaFull   = 1 << 16
	arenaFrames = 512
)

// arena is where datagrams are opened and frames wait for the device, one behind
// the other. A frame that continues the last one is joined to it without being
// copied: its datagram is opened so that the payload comes to lie right behind
// that of the last frame. The few bytes that its headers cover meanwhile are
// saved before and put back afterwards.
//
// place or bring say where an inner goes; append adds the frame that was made
// of it; restore has to follow every place, whatever became of the packet.
type arena struct {
	*Plane
	out    outlet
	buf    []byte
	end    int // of the last frame
	frames []tap.Frame
	joiner offload.Joiner
	at     int // where the inner is that is looked at now
	prefix int // bytes of the last frame's inner in front of its payload
	saved  [arenaBefore + arenaPrefix]byte
	covers int // how many bytes are saved; they belong right in front of end
}

// outlet is where frames go: each device that they went to has a run of them, in the
// order in which they came.
type outlet struct {
	main   FrameQueue // the community's
	device FrameQueue // that frames go to now
	before []run      // of the frames in front of those
}

// run is where the frames for one device end.
type run struct {
	device FrameQueue
	end    int
}

func newArena(d *Plane, device FrameQueue, f tap.Features) *arena {
	return &arena{
		Plane: d, out: outlet{main: device, device: device}, buf: make([]byte, arenaLen), frames: make([]tap.Frame, 0, arenaFrames),
		joiner: offload.Joiner{TCP: f&tap.FeatureTSO != 0, UDP: f&tap.FeatureUSO != 0},
	}
}

// place returns where to open the inner of a packet of n bytes.
func (a *arena) place(n int) int {
	a.makeRoom(n)
	if !a.joiner.Open() || a.prefix > arenaPrefix {
		a.at = a.end + arenaGap
		return a.at
	}
	a.at = a.end - a.prefix
	a.covers = copy(a.saved[:], a.buf[a.at-arenaBefore:a.end])
	return a.at
}

// bring copies an inner to the arena and returns where it is.
func (a *arena) bring(inner []byte) int {
	a.makeRoom(len(inner))
	a.at = a.end + arenaGap
	copy(a.buf[a.at:], inner)
	return a.at
}

// makeRoom flushes when n bytes do not fit behind the last frame any more.
func (a *arena) makeRoom(n int) {
	if a.end+2*arenaGap+n > len(a.buf) || len(a.frames) == cap(a.frames) {
		a.flush()
	}
}

// restore puts back what an inner covered.
func (a *arena) restore() {
	copy(a.buf[a.end-a.covers:], a.saved[:a.covers])
	a.covers = 0
}

// turn has the frames that are added from now on go to a device. It reports whether
// those of before go to another one.
func (a *arena) turn(device FrameQueue) bool {
	if a.out.device == device {
		return false
	}
	if len(a.frames) > 0 {
		a.out.before = append(a.out.before, run{a.out.device, len(a.frames)})
	}
	a.out.device = device
	return true
}

// append adds the frame buf[off:off+n], which lies where place or bring said.
func (a *arena) append(off, n int, h offload.Header) {
	frame := a.buf[off : off+n]
	if a.joiner.Open() && !a.turned() {
		if payload, ok := a.joiner.Join(frame, h); ok {
			if from := off + n - payload; from != a.end {
				copy(a.buf[a.end:], a.buf[from:off+n])
			}
			a.restore()
			a.end += payload
			a.frames[len(a.frames)-1].Len += payload
			return
		}
	}
	start := off
	if off < a.end+offload.HeaderLen {
		off = a.end + arenaGap
		copy(a.buf[off:], frame)
	}
	a.restore()
	a.finish()
	a.end = off + n
	a.frames = append(a.frames, tap.Frame{Buf: a.buf, Off: off, Len: n, Offload: h})
	a.joiner.Begin(a.buf[off:a.end], h)
	a.prefix = start + a.joiner.HeaderLen() - a.at
}

// finish ends the super-frame that may have grown.
func (a *arena) finish() {
	if len(a.frames) == 0 {
		return
	}
	f := &a.frames[len(a.frames)-1]
	f.Offload = a.joiner.Finish(f.Bytes())
}

// full reports whether what waits should be written before more is opened: a
// short arena stays in the cache.
func (a *arena) full() bool { return a.end >= arenaFull }

// turned reports whether the next frame is for another device than the last one.
func (a *arena) turned() bool {
	n := len(a.out.before)
	return n > 0 && a.out.before[n-1].end == len(a.frames)
}

// flush writes the frames to their devices. No inner may be under way.
func (a *arena) flush() {
	if len(a.frames) == 0 {
		return
	}
	a.finish()
	first := 0
	for _, r := range a.out.before {
		_ = a.write(r.device, a.frames[first:r.end]) // counted
		first = r.end
	}
	_ = a.write(a.out.device, a.frames[first:])
	a.frames, a.out.before, a.end = a.frames[:0], a.out.before[:0], 0
}
