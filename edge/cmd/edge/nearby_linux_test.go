package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"hedgerow/internal/lan"
	"hedgerow/internal/netwatch"
	"hedgerow/internal/stack"
	"hedgerow/transport"
)

// Who has the port by which members on one LAN find each other is named, and no other
// refusal is blamed on anybody.
func TestLANPortInUse(t *testing.T) {
	holder, err := transport.ListenUDP(0, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	port := holder.LocalAddr().Port()
	c, err := lan.Open(lan.Config{Port: port})
	if err == nil {
		c.Close()
		t.Fatal("opened twice")
	}
	got := lanRefusal(port, err)
	if want := fmt.Sprintf("members on the same LAN will be found by the supernode only: UDP port %d is taken by pid %d (", port, os.Getpid()); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "[E16]") {
		t.Errorf("%q", got)
	}
	if got := lanRefusal(port, errors.Join(syscall.EPERM)); strings.Contains(got, "taken") || !strings.Contains(got, syscall.EPERM.Error()) {
		t.Errorf("%q", got)
	}
}

// That a system did not list its networks once is no answer that is kept: they are looked for
// again the next time, though nothing has changed.
func TestNetworksAfterRefusal(t *testing.T) {
	_, stop, err := netwatch.Events()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, told := netwatch.Changes(); !told; _, told = netwatch.Changes() {
		runtime.Gosched()
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	home := netip.MustParsePrefix("127.64.0.0/24")
	d := &device{stack: stack.New(0)}
	find := keptNetworks(d.networks)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: files.Max}); err != nil {
		t.Fatal(err)
	}
	_, found := find(home)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if found {
		t.Fatal("the system lists its networks without a file")
	}
	want, wanted, err := d.networks(home)
	if err != nil {
		t.Fatal(err)
	}
	if got, found := find(home); found != wanted || got != want {
		t.Errorf("%+v %v, want %+v %v", got, found, want, wanted)
	}
}
