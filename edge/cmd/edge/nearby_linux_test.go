package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"hedgerow/internal/lan"
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
