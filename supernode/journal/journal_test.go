package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hedgerow/internal/filelock"
)

// begin opens a journal and begins to write as a boot.
func begin(t *testing.T, dir string, recordLen int, boot uint64) (*Journal, Contents) {
	t.Helper()
	j, c, err := Open(Config{Dir: dir, RecordLen: recordLen, Now: func() time.Time { return time.Unix(0, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	if err := j.Begin(boot, maps.All(c.Records)); err != nil {
		t.Fatal(err)
	}
	return j, c
}

// key returns a key that depends on a number.
func key(n int) Key { return Key{1, byte(n >> 8), byte(n)} }

// write writes records one by one and fails the test if that fails.
func write(t *testing.T, j *Journal, notes map[Key][]byte) {
	t.Helper()
	for _, k := range slices.SortedFunc(maps.Keys(notes), func(a, b Key) int { return bytes.Compare(a[:], b[:]) }) {
		if err := j.Write(map[Key][]byte{k: notes[k]}); err != nil {
			t.Fatal(err)
		}
	}
}

// want fails the test if something else was found.
func want(t *testing.T, c Contents, records map[Key][]byte, boot uint64, whole bool, faults int) {
	t.Helper()
	if !maps.EqualFunc(c.Records, records, bytes.Equal) || c.Boot != boot || c.Whole != whole || len(c.Faults) != faults {
		t.Errorf("%d records of boot %d, whole %v, faults %+v; want %d of %d", len(c.Records), c.Boot, c.Whole, c.Faults, len(records), boot)
	}
}

func TestNewestCounts(t *testing.T) {
	dir := t.TempDir()
	j, c := begin(t, dir, 50, 7)
	if !c.Missing || c.Whole || len(c.Faults) != 0 {
		t.Errorf("of nothing: %+v", c)
	}
	write(t, j, map[Key][]byte{key(1): []byte("one"), key(2): []byte("two"), key(3): {}, key(4): make([]byte, 50)})
	write(t, j, map[Key][]byte{key(1): []byte("new"), key(2): nil})
	if _, _, err := Open(Config{Dir: dir, RecordLen: 50, Now: time.Now}); !errors.Is(err, filelock.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	records := map[Key][]byte{key(1): []byte("new"), key(3): {}, key(4): make([]byte, 50)}
	c, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want(t, c, records, 7, true, 0)
	j.Close()
	j, c = begin(t, dir, 50, 8)
	want(t, c, records, 7, true, 0)
	j.Close()
	// A program with longer records reads them, and so does the next.
	j, c = begin(t, dir, 90, 9)
	want(t, c, records, 8, true, 0)
	records[key(5)] = make([]byte, 90)
	write(t, j, map[Key][]byte{key(5): records[key(5)]})
	j.Close()
	_, c = begin(t, dir, 90, 10)
	want(t, c, records, 9, true, 0)
}

// TestDamageOfBothCopies: what one copy has lost is read from the other.
func TestDamageOfBothCopies(t *testing.T) {
	whole := t.TempDir()
	j, _ := begin(t, whole, 50, 1)
	records := map[Key][]byte{}
	for i := range 100 {
		records[key(i)] = fmt.Appendf(nil, "record %d", i)
	}
	write(t, j, records)
	j.Close()
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		dir := t.TempDir()
		places := rnd.Perm(100)
		for i, name := range []string{First, Second} {
			b, err := os.ReadFile(filepath.Join(whole, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range places[i*20 : (i+1)*20] { // never the same record in both
				at := headerLen + (1+n)*size(50) + rnd.IntN(size(50))
				b[at] ^= 1 << rnd.IntN(8)
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j, c := begin(t, dir, 50, 2)
		want(t, c, records, 1, false, 2)
		j.Close()
		c, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		want(t, c, records, 2, true, 0)
	}
}

// TestGoneStaysGone: what was removed while one copy could not be written does not come
// back from that copy.
func TestGoneStaysGone(t *testing.T) {
	dir := t.TempDir()
	j, _ := begin(t, dir, 50, 1)
	write(t, j, map[Key][]byte{key(1): []byte("one"), key(2): []byte("two")})
	old, err := os.ReadFile(filepath.Join(dir, First))
	if err != nil {
		t.Fatal(err)
	}
	j.GiveUp()
	records := map[Key][]byte{key(2): []byte("two")}
	if err := j.Rewrite(maps.All(records)); err != nil || j.Copies() != 2 {
		t.Fatal(err)
	}
	j.Close()
	if err := os.WriteFile(filepath.Join(dir, First), old, 0o600); err != nil {
		t.Fatal(err)
	}
	_, c := begin(t, dir, 50, 2)
	want(t, c, records, 1, true, 1)
}

// TestGrowthIsBounded: files that grow are written anew, with what is of use.
func TestGrowthIsBounded(t *testing.T) {
	j, _ := begin(t, t.TempDir(), 50, 1)
	notes := map[Key][]byte{}
	for i := range 500 {
		notes[key(i)] = []byte("x")
	}
	for range 40 {
		if err := j.Write(notes); err != nil {
			t.Fatal(err)
		}
		if j.Full() {
			if err := j.Rewrite(maps.All(notes)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range j.copies {
			state, err := os.Stat(j.copies[i].path)
			if err != nil || state.Size() > int64(headerLen+(2*500+slack+500+1)*size(50)) {
				t.Fatalf("%v, %v", state.Size(), err)
			}
		}
	}
}

// FuzzRead gives the reader files of any content: it reads them, and the next program
// finds what it read.
func FuzzRead(f *testing.F) {
	good := appendSlot(appendHeader(nil, size(50)), &slot{1, 2, key(3), []byte("record")}, size(50))
	f.Add(good, []byte{})
	f.Add(good[:len(good)-1], good)
	f.Add(append(good, good...), []byte("hedgerow log\x00\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(filepath.Join(dir, First), first, 0o600), os.WriteFile(filepath.Join(dir, Second), second, 0o600)); err != nil {
			t.Fatal(err)
		}
		j, c, err := Open(Config{Dir: dir, RecordLen: gone - 1, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if err := j.Begin(5, maps.All(c.Records)); err != nil {
			t.Fatal(err)
		}
		again, err := Read(dir)
		if err != nil || !again.Whole || !maps.EqualFunc(again.Records, c.Records, bytes.Equal) {
			t.Errorf("%v, %+v, was %+v", err, again, c)
		}
	})
}
