package vmgen

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHas reads uevents, the one of a new generation among them.
func TestHas(t *testing.T) {
	for event, want := range map[string]bool{
		"change@/devices/platform/VMGENCTR:00\x00ACTION=change\x00DEVPATH=/devices/platform/VMGENCTR:00\x00SUBSYSTEM=platform\x00NEW_VMGENID=1\x00SEQNUM=4077\x00": true,
		"change@/devices/x\x00NEW_VMGENID=1":                           true,
		"change@/devices/x\x00ACTION=change\x00SEQNUM=4077\x00":        false,
		"change@/devices/x\x00NEW_VMGENID=10\x00":                      false,
		"change@/devices/x\x00SYNTH_ARG_NEW_VMGENID=1\x00":             false, // a user's
		"NEW_VMGENID=1\x00ACTION=change\x00":                           false, // that is the device
		"libudev\x00\xfe\xed\xca\xfe\x00\x00\x00\x28ACTION=change\x00": false,
		"": false, "\x00": false, "\x00\x00\x00": false,
	} {
		if has([]byte(event), newGeneration) != want {
			t.Errorf("%q: want %v", event, want)
		}
	}
}

// TestFromKernel believes the kernel alone.
func TestFromKernel(t *testing.T) {
	for from, want := range map[unix.Sockaddr]bool{
		&unix.SockaddrNetlink{Groups: 1}: true, &unix.SockaddrNetlink{Pid: 77, Groups: 1}: false, nil: false, &unix.SockaddrUnix{}: false,
	} {
		if fromKernel(from) != want {
			t.Errorf("%+v: want %v", from, want)
		}
	}
}

// uevents is a file by which root has the kernel send uevents (Documentation/ABI/testing/
// sysfs-uevent), any number of them.
func uevents(t *testing.T) func(words string) {
	f, err := os.OpenFile("/sys/class/mem/null/uevent", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("needs root, to ask the kernel for uevents: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return func(words string) {
		if _, err := f.WriteAt([]byte(words), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatchLosesUevents sends more uevents than can wait, for half a second: the loss is
// reported, and once, not with each that is dropped.
func TestWatchLosesUevents(t *testing.T) {
	ask := uevents(t)
	ctx, cancel := context.WithCancel(t.Context())
	began, busy, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var reports atomic.Int32
	go func() {
		ended <- watch(ctx, "SYNTH_ARG_GENERATION=9", func() {
			if reports.Add(1) == 1 {
				close(began)
				<-busy // so long that too many wait
			}
		})
	}()
	for reports.Load() == 0 { // until it listens
		ask("change 7d6f1c1e-6f3a-4b62-9a55-1f9dd1ab2c11 GENERATION=9")
		time.Sleep(10 * time.Millisecond)
	}
	<-began
	flood := func(d time.Duration, least int) {
		for end := time.Now().Add(d); time.Now().Before(end) || least > 0; least-- {
			ask("change")
		}
	}
	flood(300*time.Millisecond, 5000) // the socket has room for some hundreds
	heard := reports.Load()
	close(busy)
	flood(500*time.Millisecond, 0)
	if n := reports.Load(); n != heard {
		t.Errorf("%d reports in half a second of a burst", n-heard)
	}
	for end := time.Now().Add(5 * time.Second); reports.Load() == heard; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a loss was not reported")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWatch has the kernel send uevents, for which it can be asked (Documentation/ABI/
// testing/sysfs-uevent): the one with the variable is reported, once, and the end of the
// context ends Watch.
func TestWatch(t *testing.T) {
	const device = "/sys/class/mem/null/uevent"
	if f, err := os.OpenFile(device, os.O_WRONLY, 0); err != nil {
		t.Skipf("needs root, to ask the kernel for uevents: %v", err)
	} else {
		f.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	found, ended := make(chan struct{}, 16), make(chan error, 1)
	go func() { ended <- watch(ctx, "SYNTH_ARG_GENERATION=7", func() { found <- struct{}{} }) }()
	ask := func(words string) {
		if err := os.WriteFile(device, []byte(words), 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // until it listens
		ask("change 7d6f1c1e-6f3a-4b62-9a55-1f9dd1ab2c11 GENERATION=7")
		select {
		case <-found:
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
			continue
		}
		break
	}
	for range 3 {
		ask("change 7d6f1c1e-6f3a-4b62-9a55-1f9dd1ab2c11 GENERATION=8")
		ask("change")
	}
	ask("change 7d6f1c1e-6f3a-4b62-9a55-1f9dd1ab2c11 GENERATION=7")
	n := 0
	for wait := time.After(5 * time.Second); n == 0; {
		select {
		case <-found:
			n++
		case <-wait:
			t.Fatal("a new generation was not reported")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(found) != 0 {
		t.Errorf("%d reports too many", len(found))
	}
}
