package supernode

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/internal/durable"
	"hedgerow/protocol"
	"hedgerow/supernode/journal"
)

// onDisk returns the records in a state directory.
func onDisk(t *testing.T, dir string) map[recordKey][]byte {
	t.Helper()
	c, err := journal.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c.Records
}

// TestAckAfterDisk: an ACK leaves once the registration is on the disk, and not before.
func TestAckAfterDisk(t *testing.T) {
	dir := t.TempDir()
	var r *rig
	synced := 0
	r = newRigOn(t, &faultyDisk{Disk: journal.System, fail: func(_ int, sync bool) bool {
		if sync {
			synced++
		}
		if r != nil && len(r.conn.sent) != 0 {
			t.Errorf("%d datagrams left before the disk had it", len(r.conn.sent))
		}
		return false
	}}, Config{StateDir: dir})
	before := synced
	e := r.edge(storedCommunity(), "e", 1)
	e.connect()
	r.in.N, r.in.Addr = copy(r.in.Buf, e.seal(e.request())), e.addr
	r.in.Local = asked(e.addr)
	r.s.handleTrain(r.now, r.out, &r.in)
	r.prove()
	r.s.sockets.flush(r.out)
	if got := r.conn.drain(); len(got) != 1 { // the PING that measures the round trip
		t.Fatalf("%d datagrams before the disk had it", len(got))
	}
	if n := len(onDisk(t, dir)); n != 0 {
		t.Fatalf("%d registrations on disk", n)
	}
	r.s.store.write()
	if n := len(onDisk(t, dir)); n != 1 || synced != before+2 {
		t.Errorf("%d registrations on disk after %d syncs", n, synced-before)
	}
	if answers := e.open(r.conn.drain()); len(answers) != 1 {
		t.Errorf("%d answers", len(answers))
	}
}

// faultyDisk is a disk whose steps a test counts and fails: each that changes something.
type faultyDisk struct {
	journal.Disk
	steps  int
	failed int
	fail   func(step int, sync bool) bool // nil: nothing fails
}

// errFull is what a full disk says.
var errFull = &os.PathError{Op: "write", Path: "state", Err: syscall.ENOSPC}

// step counts a step, and fails it if it is to fail.
func (d *faultyDisk) step(sync bool) error {
	d.steps++
	if d.fail != nil && d.fail(d.steps, sync) {
		d.failed++
		return errFull
	}
	return nil
}

func (d *faultyDisk) CreateTemp(dir, pattern string) (durable.File, error) {
	if err := d.step(false); err != nil {
		return nil, err
	}
	f, err := d.Disk.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d}, nil
}

func (d *faultyDisk) Append(path string) (durable.File, error) {
	if err := d.step(false); err != nil {
		return nil, err
	}
	f, err := d.Disk.Append(path)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d}, nil
}

func (d *faultyDisk) Rename(from, to string) error {
	if err := d.step(false); err != nil {
		return err
	}
	return d.Disk.Rename(from, to)
}

func (d *faultyDisk) SyncDir(string) error { return d.step(true) }

// faultyFile is a file of it. A write that fails writes a part.
type faultyFile struct {
	durable.File
	disk *faultyDisk
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.disk.step(false); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f *faultyFile) Sync() error { return f.disk.step(true) }

// TestDiskFullAtEveryWrite lets the disk fail from each of its steps on, and once at each,
// with copies of both files to begin with and without. The supernode starts, registers and
// says what is wrong; when there is room again it is as if nothing had been, and whatever
// edges were told is there after a sudden end.
func TestDiskFullAtEveryWrite(t *testing.T) {
	each := 1
	if race {
		each = 3
	}
	for k, once := range []bool{false, true} {
		for at := 1 + k; ; at += each {
			if !fillDisk(t, at, once) {
				if at < 40 {
					t.Errorf("only %d steps", at)
				}
				break
			}
		}
	}
}

// fillDisk is TestDiskFullAtEveryWrite for one step. It reports whether that came.
func fillDisk(t *testing.T, at int, once bool) bool {
	t.Helper()
	full := true
	disk := &faultyDisk{Disk: journal.System, fail: func(step int, _ bool) bool {
		return full && (step == at || step > at && !once)
	}}
	cfg := Config{StateDir: t.TempDir(), Identity: identity("supernode")}
	r := newRigOn(t, disk, cfg)
	told := map[*fakeEdge]netip.Prefix{}
	join := func(name string, n int) {
		e := r.edge(storedCommunity(), name, n).join()
		told[e] = e.ack.Lease
	}
	for round := range 2 {
		for i := range 3 {
			join(fmt.Sprint("e", round, i), 10*round+i)
		}
		r.now = r.now.Add(storeRetry)
		if round > 0 {
			continue
		}
		r = r.restart(cfg)
		for e, lease := range told {
			e.r = r
			e.connect()
			m := e.request()
			m.Prefix = lease
			if ack, nak := e.register(m); ack == nil || ack.Lease != lease {
				t.Errorf("step %d: whoever had %v got %+v, %+v", at, lease, ack, nak)
			}
		}
		r.now = r.now.Add(returnTime)
	}
	if st := r.s.store.health(); st.copies < 2 && len(r.s.Status().Notes) == 0 {
		t.Errorf("step %d: nothing is said of %+v", at, st)
	}
	full = false
	r.now = r.now.Add(time.Minute)
	r.s.store.write()
	if notes := r.s.store.sentence(); notes != "" {
		t.Errorf("step %d: there is room again, and status says %q", at, notes)
	}
	join("last", 30)
	next := newRig(t, Config{StateDir: copyState(t, cfg.StateDir), Identity: cfg.Identity}) // as a sudden end leaves it
	next.now = r.now
	for e, lease := range told {
		if reg := next.s.registry.communities[storedCommunity().ID()].byMAC[e.mac]; reg == nil || reg.lease != lease {
			t.Errorf("step %d, once %v: %v is not there", at, once, lease)
		}
	}
	return disk.failed > 0
}

// copyState returns a copy of a state directory.
func copyState(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if id := filepath.Join(to, IdentityFile); exists(id) { // nobody else may read it
		if err := os.Chmod(id, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestSlowDisk: an ACK waits for a disk that takes long, but no longer than an edge would;
// what registers meanwhile does not wait, and status says so until the disk is done.
func TestSlowDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		r := runOn(t, &faultyDisk{Disk: journal.System, fail: func(_ int, sync bool) bool {
			if sync && slow.Load() {
				time.Sleep(3 * time.Second)
			}
			return false
		}}, Config{StateDir: dir})
		synctest.Wait()
		slow.Store(true)
		a, b := r.edge(storedCommunity(), "a", 1), r.edge(storedCommunity(), "b", 2)
		i, pkt := a.initiate(nil)
		a.finish(i, r.exchange(a.addr, pkt)[0].pkt)
		acks := func(got []sent) (n int) {
			for _, answer := range a.open(got) {
				if answer.typ == protocol.MsgAck {
					n++
				}
			}
			return n
		}
		if n := acks(r.exchange(a.addr, a.seal(a.request()))); n != 0 {
			t.Error("an ACK left before the disk had it")
		}
		time.Sleep(storePatience - time.Millisecond)
		if n := acks(r.settle()); n != 0 {
			t.Error("it left too early")
		}
		time.Sleep(2 * time.Millisecond)
		if n := acks(r.settle()); n != 1 || r.s.store.sentence() == "" {
			t.Errorf("%d ACKs after %v, status says %q", n, storePatience, r.s.store.sentence())
		}
		b.joinRunning(r)
		slow.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if r.s.store.sentence() != "" || len(onDisk(t, dir)) != 2 {
			t.Errorf("status says %q, %d registrations on disk", r.s.store.sentence(), len(onDisk(t, dir)))
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}
