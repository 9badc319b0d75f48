package tap

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/tap/offload"
)

// script answers reads and writes one by one: a positive number is a length,
// anything else an errno. It has room again, or not, as often as rooms says.
type script struct {
	answers []any
	rooms   []bool
	waits   int
}

func (s *script) next(_ int, p []byte) (int, syscall.Errno) {
	if len(s.answers) == 0 {
		return -1, unix.EAGAIN
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	if errno, ok := a.(syscall.Errno); ok {
		return -1, errno
	}
	return a.(int), 0
}

func (s *script) await(int, time.Duration) bool {
	s.waits++
	if len(s.rooms) == 0 {
		return true
	}
	room := s.rooms[0]
	s.rooms = s.rooms[1:]
	return room
}

// scripted makes a queue whose system calls are a script. Its descriptor is one
// that no interface is attached to.
func scripted(cfg Config, f Features, answers ...any) (*Queue, *script) {
	s := &script{answers: answers}
	const never = 1 << 30 // no process has so many descriptors
	q := newQueue(&Device{cfg: cfg, features: f}, never)
	q.read, q.write, q.await = s.next, s.next, s.await
	return q, s
}

func TestReadBatchSteps(t *testing.T) {
	tests := []struct {
		name    string
		answers []any
		want    []int // lengths
		reads   uint64
		fails   error
	}{
		{"nothing", nil, nil, 1, nil},
		{"one", []any{60}, []int{60}, 2, nil},
		{"all that wait", []any{60, 61, 62, unix.EAGAIN, 63}, []int{60, 61, 62}, 4, nil},
		{"no more than the batch holds", []any{1, 2, 3, 4, 5}, []int{1, 2, 3, 4}, 4, nil},
		{"interrupted", []any{unix.EINTR, 60, unix.EINTR, 61}, []int{60, 61}, 5, nil},
		{"deleted", []any{unix.EBADFD}, nil, 1, ErrDeleted},
		{"deleted behind a frame", []any{60, unix.EBADFD}, []int{60}, 2, nil},
		{"being deleted", []any{unix.EIO}, nil, 1, ErrDeleted},
		{"empty frame behind a frame", []any{60, 0, 61}, []int{60}, 2, nil},
	}
	for _, tt := range tests {
		q, _ := scripted(Config{Name: "edge0"}, 0, tt.answers...)
		fs := newFrames(4)
		fs[0].Offload.Flags = 1 // of an earlier use
		n, err := q.ReadBatch(fs)
		var got []int
		for _, f := range fs[:n] {
			got = append(got, f.Len)
			if f.Offload != (offload.Header{}) {
				t.Errorf("%s: %+v", tt.name, f.Offload)
			}
		}
		c := q.Counters()
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.fails) || c.Reads != tt.reads || c.FramesIn != uint64(n) {
			t.Errorf("%s: lengths %v, %v, %+v; want %v, %v, %d reads", tt.name, got, err, c, tt.want, tt.fails, tt.reads)
		}
	}
}

// TestReadFaults needs a descriptor with an interface on it: a fault of the
// device is then one of a frame.
func TestReadFaults(t *testing.T) {
	enterNamespace(t)
	q := open(t, Config{Name: "edge0"}).Queues()[0]
	for errno, dropped := range map[syscall.Errno]uint64{unix.EIO: 0, unix.EINVAL: 1} {
		before := q.device.Dropped()
		q.read = func(int, []byte) (int, syscall.Errno) { return -1, errno }
		if n, err := q.ReadBatch(newFrames(2)); n != 0 || err != nil || q.device.Dropped() != before+dropped {
			t.Errorf("%v: %d, %v, %d dropped", errno, n, err, q.device.Dropped())
		}
	}
	q.read = func(int, []byte) (int, syscall.Errno) { return -1, unix.ENOMEM }
	if _, err := q.ReadBatch(newFrames(2)); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("ENOMEM: %v", err)
	}
}

func TestReadBatchParsesHeaders(t *testing.T) {
	q, _ := scripted(Config{}, allFeatures)
	headers := []offload.Header{
		{},
		{Flags: offload.FlagNeedsCsum, GSOType: offload.GSOTCPv4 | offload.GSOECN, HdrLen: 54, GSOSize: 1448, CsumStart: 34, CsumOffset: 16},
		{Flags: 2}, // the kernel has verified the checksum
	}
	want := slices.Clone(headers)
	want[2].Flags = 0
	q.read = func(_ int, p []byte) (int, syscall.Errno) {
		if len(headers) == 0 {
			return -1, unix.EAGAIN
		}
		headers[0].Put(p)
		headers = headers[1:]
		return offload.HeaderLen + copy(p[offload.HeaderLen:], "frame"), 0
	}
	fs := newFrames(4)
	n, err := q.ReadBatch(fs)
	if n != 3 || err != nil {
		t.Fatal(n, err)
	}
	for i, f := range fs[:n] {
		if f.Offload != want[i] || string(f.Bytes()) != "frame" || f.Buf[f.Off-offload.HeaderLen-1] != 0 {
			t.Errorf("%d: %+v %q", i, f.Offload, f.Bytes())
		}
	}
	if c := q.Counters(); c != (Counters{Reads: 4, FramesIn: 3, SuperIn: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestOneFrame(t *testing.T) {
	q, _ := scripted(Config{OneFrame: true}, 0, 60, 61, 62)
	if n, err := q.ReadBatch(newFrames(4)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestWriteBatchSteps(t *testing.T) {
	no, yes := []bool{false}, []bool{true, true}
	tests := []struct {
		name    string
		answers []any
		rooms   []bool
		n       int
		dropped uint64
		waits   int
		fails   error
	}{
		{"all", []any{60, 60, 60}, nil, 3, 0, 0, nil},
		{"no room for a while", []any{60, unix.EAGAIN, 60, unix.EAGAIN, 60}, yes, 3, 0, 2, nil},
		{"no room in time", []any{60, unix.EAGAIN, unix.EAGAIN}, no, 1, 2, 1, nil},
		{"room in time for one", []any{unix.EAGAIN, unix.EAGAIN, 60}, no, 1, 2, 1, nil},
		{"interrupted", []any{unix.EINTR, 60, 60, 60}, nil, 3, 0, 0, nil},
		{"link down", []any{unix.EIO, unix.EIO, unix.EIO}, nil, 0, 3, 0, nil},
		{"no memory for one", []any{60, unix.ENOBUFS, 60}, nil, 2, 1, 0, nil},
		{"malformed", []any{unix.EINVAL, 60, 60}, nil, 2, 1, 0, nil},
		{"deleted", []any{60, unix.EBADFD, 60}, nil, 1, 0, 0, ErrDeleted},
	}
	for _, tt := range tests {
		q, s := scripted(Config{Name: "edge0"}, 0, tt.answers...)
		s.rooms = tt.rooms
		n, err := q.WriteBatch(newFrames(3))
		if n != tt.n || q.device.Dropped() != 0 || q.dropped.Load() != tt.dropped || s.waits != tt.waits || !errors.Is(err, tt.fails) {
			t.Errorf("%s: n %d, dropped %d, waits %d, err %v", tt.name, n, q.dropped.Load(), s.waits, err)
		}
		if c := q.Counters(); c.FramesOut != uint64(n) || c.Writes != uint64(len(tt.answers)-len(s.answers)) {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}
}

// TestWriteNeverLoops gives a kernel that always has room but takes nothing.
func TestWriteNeverLoops(t *testing.T) {
	q, s := scripted(Config{}, 0)
	if n, err := q.WriteBatch(newFrames(3)); n != 0 || err != nil || q.dropped.Load() != 3 || s.waits > 5 {
		t.Errorf("%d, %v, %d dropped after %d waits", n, err, q.dropped.Load(), s.waits)
	}
}

// unsummed is a frame whose checksum is left: two bytes of header, the field,
// and what is summed with it.
func unsummed() Frame {
	f := Frame{Buf: make([]byte, 128), Off: 32}
	f.Len = copy(f.Buf[f.Off:], []byte{1, 2, 0, 0, 0x12, 0x34})
	f.Offload = offload.Header{Flags: offload.FlagNeedsCsum, CsumStart: 2}
	return f
}

func TestWriteWithoutVnet(t *testing.T) {
	q, _ := scripted(Config{}, 0)
	var written []string
	q.write = func(_ int, p []byte) (int, syscall.Errno) {
		written = append(written, string(p))
		return len(p), 0
	}
	super, beyond := unsummed(), unsummed()
	super.Offload.GSOType = offload.GSOUDPL4
	beyond.Offload.CsumStart = 100
	fs := []Frame{unsummed(), super, beyond}
	if n, err := q.WriteBatch(fs); n != 1 || err != nil || q.dropped.Load() != 2 {
		t.Errorf("%d, %v, %d dropped", n, err, q.dropped.Load())
	}
	if n, err := q.WriteBatch(fs[:1]); n != 1 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
	const summed = "\x01\x02\xed\xcb\x12\x34"
	if !slices.Equal(written, []string{summed, summed}) {
		t.Errorf("written % x", written)
	}
}

func TestWriteWithVnet(t *testing.T) {
	q, _ := scripted(Config{}, FeatureVnet)
	var written []byte
	q.write = func(_ int, p []byte) (int, syscall.Errno) {
		written = slices.Clone(p)
		return len(p), 0
	}
	f := unsummed()
	f.Offload.GSOType = offload.GSOTCPv6
	if n, err := q.WriteBatch([]Frame{f}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if offload.Parse(written) != f.Offload || string(written[offload.HeaderLen:]) != "\x01\x02\x00\x00\x12\x34" {
		t.Errorf("written % x", written)
	}
	if f.Buf[f.Off-offload.HeaderLen-1] != 0 {
		t.Error("written further in front than the header is long")
	}
	if c := q.Counters(); c != (Counters{Writes: 1, FramesOut: 1, SuperOut: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestEmptyBatch(t *testing.T) {
	q, _ := scripted(Config{}, 0)
	if n, err := q.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if n, err := q.WriteBatch(nil); n != 0 || err != nil {
		t.Errorf("write %d, %v", n, err)
	}
}

func TestAwaitRoom(t *testing.T) {
	enterNamespace(t)
	if q := open(t, Config{Name: "edge0"}).Queues()[0]; !awaitRoom(q.Fd(), time.Millisecond) {
		t.Error("a device that is up has no room")
	}
}
