package tap

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestBatchAllocations(t *testing.T) { onBackends(t, testAllocations) }

func testAllocations(t *testing.T, backend Backend) {
	q := open(t, Config{Name: "edge0", Backend: backend}).Queues()[0]
	fd := packetSocket(t, "edge0", etherType)
	const runs = 100
	for i := range 2 * runs { // within the queue
		if _, err := unix.Write(fd, testFrame(byte(i), 60)); err != nil {
			t.Fatal(err)
		}
	}
	fs := newFrames(1)
	if a := testing.AllocsPerRun(runs, func() {
		if n, err := q.ReadBatch(fs); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}); a != 0 {
		t.Errorf("ReadBatch allocates %v times", a)
	}
	out := newFrames(8)
	for i := range out {
		out[i].Len = copy(out[i].Buf[out[i].Off:], testFrame(byte(i), 60))
	}
	if a := testing.AllocsPerRun(runs, func() {
		if n, err := q.WriteBatch(out); n != len(out) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}); a != 0 {
		t.Errorf("WriteBatch allocates %v times", a)
	}
	for n := 1; n > 0; {
		n, _ = q.ReadBatch(fs)
	}
	if a := testing.AllocsPerRun(runs, func() { q.ReadBatch(fs) }); a != 0 {
		t.Errorf("an empty ReadBatch allocates %v times", a)
	}
}

func BenchmarkRead(b *testing.B) {
	enterNamespace(b)
	q := open(b, Config{Name: "edge0"}).Queues()[0]
	fd := packetSocket(b, "edge0", etherType)
	const batch = 32
	frame, fs := testFrame(1, 1384), newFrames(batch)
	b.SetBytes(batch * int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range batch {
			if _, err := unix.Write(fd, frame); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		for n := 0; n < batch; {
			got, err := q.ReadBatch(fs[:batch-n])
			if err != nil {
				b.Fatal(err)
			}
			n += got
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	enterNamespace(b)
	q := open(b, Config{Name: "edge0"}).Queues()[0]
	fs := newFrames(32)
	for i := range fs {
		fs[i].Len = copy(fs[i].Buf[fs[i].Off:], testFrame(byte(i), 1384))
	}
	b.SetBytes(int64(len(fs) * fs[0].Len))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.WriteBatch(fs); err != nil {
			b.Fatal(err)
		}
	}
}
