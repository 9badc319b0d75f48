package taptest

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/tap"
	"hedgerow/tap/offload"
)

func frames(n int) []tap.Frame {
	fs := make([]tap.Frame, n)
	for i := range fs {
		fs[i] = tap.Frame{Buf: make([]byte, 128), Off: 16}
	}
	return fs
}

func TestReadBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{})
		fs := frames(2)
		if n, err := d.ReadBatch(fs); n != 0 || err != nil {
			t.Errorf("an empty device: %d %v", n, err)
		}
		start := time.Now()
		time.AfterFunc(time.Second, func() {
			for _, s := range []string{"one", "two", "three"} {
				if !d.Inject([]byte(s)) {
					t.Errorf("%s was dropped", s)
				}
			}
		})
		<-d.Ready()
		if time.Since(start) != time.Second {
			t.Errorf("ready after %v", time.Since(start))
		}
		synctest.Wait()
		if n, err := d.ReadBatch(fs[:1]); n != 1 || err != nil || string(fs[0].Bytes()) != "one" {
			t.Fatalf("%d %v %q", n, err, fs[0].Bytes())
		}
		if n, err := d.ReadBatch(fs); n != 2 || err != nil || string(fs[0].Bytes()) != "two" || string(fs[1].Bytes()) != "three" {
			t.Fatalf("%d %v %q %q", n, err, fs[0].Bytes(), fs[1].Bytes())
		}
		if n, err := d.ReadBatch(nil); n != 0 || err != nil {
			t.Errorf("empty batch: %d %v", n, err)
		}
	})
}

func TestLongFrameIsCut(t *testing.T) {
	d := New(Options{})
	d.Inject(make([]byte, 500))
	fs := frames(1)
	if n, err := d.ReadBatch(fs); n != 1 || err != nil || fs[0].Len != 128-16 {
		t.Errorf("%d %v, %d bytes", n, err, fs[0].Len)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{})
		d.Inject([]byte("x"))
		<-d.Ready()
		time.AfterFunc(time.Second, func() { d.Close() })
		<-d.Ready()
		d.Close()
		if d.Inject([]byte("x")) {
			t.Error("a closed device took a frame")
		}
		if _, err := d.ReadBatch(frames(1)); err != tap.ErrClosed {
			t.Errorf("reading: %v", err)
		}
		if _, err := d.WriteBatch(frames(1)); err != tap.ErrClosed {
			t.Errorf("writing: %v", err)
		}
		if err := d.SetAddress(netip.MustParsePrefix("10.0.0.1/8")); err != tap.ErrClosed {
			t.Errorf("SetAddress: %v", err)
		}
	})
}

func TestWriteBatch(t *testing.T) {
	d := New(Options{Queue: 2})
	fs := frames(3)
	for i := range fs {
		fs[i].Len = copy(fs[i].Buf[fs[i].Off:], []byte{byte('a' + i)})
	}
	if n, err := d.WriteBatch(fs); n != 2 || err != nil || d.Dropped() != 1 {
		t.Errorf("%d %v, %d dropped", n, err, d.Dropped())
	}
	fs[0].Buf[16] = 'x' // what was delivered is the receiver's own
	if got := <-d.Delivered(); !bytes.Equal(got, []byte("a")) {
		t.Errorf("%q", got)
	}
	for range 3 {
		d.Inject([]byte("y"))
	}
	if d.Dropped() != 2 {
		t.Errorf("%d dropped", d.Dropped())
	}
}

func TestDeliver(t *testing.T) {
	var got []string
	d := New(Options{Deliver: func(f []byte) { got = append(got, string(f)) }})
	fs := frames(2)
	fs[0].Len = copy(fs[0].Buf[16:], "one")
	fs[1].Len = copy(fs[1].Buf[16:], "two")
	if n, err := d.WriteBatch(fs); n != 2 || err != nil || !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%d %v %q", n, err, got)
	}
}

// unsummed is a frame whose checksum is left: two bytes of header, the field,
// and what is summed with it.
func unsummed() (tap.Frame, offload.Header) {
	f := tap.Frame{Buf: make([]byte, 128), Off: 16}
	f.Len = copy(f.Buf[f.Off:], []byte{1, 2, 0, 0, 0x12, 0x34})
	f.Offload = offload.Header{Flags: offload.FlagNeedsCsum, CsumStart: 2}
	return f, f.Offload
}

func TestPlainDevice(t *testing.T) {
	d := New(Options{})
	left, _ := unsummed()
	super, _ := unsummed()
	super.Offload.GSOType = offload.GSOTCPv4
	beyond, _ := unsummed()
	beyond.Offload.CsumStart = 100
	fs := []tap.Frame{left, super, beyond}
	if n, err := d.WriteBatch(fs); n != 1 || err != nil || d.Dropped() != 2 {
		t.Errorf("%d %v, %d dropped", n, err, d.Dropped())
	}
	if got := <-d.Delivered(); !bytes.Equal(got, []byte{1, 2, 0xed, 0xcb, 0x12, 0x34}) {
		t.Errorf("delivered % x", got)
	}
	if fs[0].Offload != (offload.Header{}) || d.Features() != 0 {
		t.Errorf("left %+v, features %v", fs[0].Offload, d.Features())
	}
	defer func() {
		if recover() == nil {
			t.Error("a device without vnet headers took a super-frame")
		}
	}()
	d.InjectSuper([]byte("x"), offload.Header{})
}

func TestVnetDevice(t *testing.T) {
	type super struct {
		frame string
		left  offload.Header
	}
	var plain []string
	var supers []super
	d := New(Options{
		Vnet:         true,
		Deliver:      func(f []byte) { plain = append(plain, string(f)) },
		DeliverSuper: func(f []byte, h offload.Header) { supers = append(supers, super{string(f), h}) },
	})
	h := offload.Header{Flags: offload.FlagNeedsCsum, GSOType: offload.GSOTCPv4, GSOSize: 3}
	if !d.InjectSuper([]byte("super"), h) || !d.Inject([]byte("plain")) {
		t.Fatal("not injected")
	}
	fs := frames(3)
	n, err := d.ReadBatch(fs)
	if n != 2 || err != nil || fs[0].Offload != h || string(fs[0].Bytes()) != "super" || fs[1].Offload != (offload.Header{}) {
		t.Fatalf("%d %v %+v", n, err, fs)
	}
	if n, err := d.WriteBatch(fs[:n]); n != 2 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	if !slices.Equal(plain, []string{"plain"}) || !slices.Equal(supers, []super{{"super", h}}) {
		t.Errorf("%q %+v", plain, supers)
	}
	if !d.Features().Has(tap.FeatureTSO | tap.FeatureUSO) {
		t.Errorf("features %v", d.Features())
	}
}

func TestAddresses(t *testing.T) {
	d := New(Options{})
	for _, s := range []string{"10.0.0.1/24", "fd00::1/64", "10.0.0.2/24"} {
		if err := d.SetAddress(netip.MustParsePrefix(s)); err != nil {
			t.Fatal(err)
		}
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::1/64")}
	if got := d.Addresses(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for range 2 {
		if err := d.RemoveAddress(want[0]); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.Addresses(); !slices.Equal(got, want[1:]) {
		t.Errorf("%v", got)
	}
}

func TestAllocations(t *testing.T) {
	d := New(Options{Deliver: func([]byte) {}})
	fs, frame := frames(1), make([]byte, 60)
	if a := testing.AllocsPerRun(100, func() {
		d.Inject(frame)
		if n, err := d.ReadBatch(fs); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := d.WriteBatch(fs); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}); a != 0 {
		t.Errorf("%v allocations per frame", a)
	}
}
