package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestServerError reads the sentence of every code, and whether a moment later
// the same request may succeed.
func TestServerError(t *testing.T) {
	for code, want := range map[int]struct {
		says      string
		transient bool
	}{
		codeNone:         {"refuses Allocate and does not say why", false},
		codeTryAlternate: {"names another server", false},
		codeBadRequest:   {"or the request is not understood", false},
		codeUnauthorized: {"password is wrong or has expired", false},
		codeForbidden:    {"its rules forbid", false},
		codeUnknown:      {"not understood here", false},
		codeMismatch:     {"within 10 minutes", false},
		codeStaleNonce:   {"nothing more is known", false},
		codeWrong:        {"password is wrong or has expired", false},
		codeTransport:    {"relays no UDP", false},
		codePeerFamily:   {"addresses of that family", false},
		codeQuota:        {"as many allocations as it may", false},
		codeServer:       {"nothing more is known", true},
		codeCapacity:     {"no room for one more allocation", false},
		599:              {"nothing more is known", true},
	} {
		e := &ServerError{Request: "Allocate", Code: code, Reason: "Because"}
		if got := e.Error(); !strings.Contains(got, want.says) || !strings.HasPrefix(got, "the TURN server refuses Allocate") {
			t.Errorf("%d: %q", code, got)
		}
		if code != codeNone && !strings.Contains(e.Error(), fmt.Sprintf("(%d Because)", code)) {
			t.Errorf("%d: without the code and the reason: %q", code, e)
		}
		if e.transient() != want.transient {
			t.Errorf("%d: transient %v", code, e.transient())
		}
	}
}

// TestOutlet writes to the server until Close, which ends a read.
func TestOutlet(t *testing.T) {
	var sent []string
	var o net.PacketConn = newOutlet(serverAt, func(to netip.AddrPort, pkt []byte) { sent = append(sent, to.String()+" "+string(pkt)) })
	for _, set := range []func(time.Time) error{o.SetDeadline, o.SetReadDeadline, o.SetWriteDeadline} {
		if err := set(time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
	}
	if n, err := o.WriteTo([]byte("hello"), o.LocalAddr()); n != 5 || err != nil || len(sent) != 1 || sent[0] != serverAt.String()+" hello" {
		t.Errorf("%d, %v, %q", n, err, sent)
	}
	ended := make(chan error, 1)
	go func() {
		_, _, err := o.ReadFrom(make([]byte, 16))
		ended <- err
	}()
	for range 2 {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read returned %v", err)
	}
	if _, err := o.WriteTo([]byte("late"), nil); !errors.Is(err, net.ErrClosed) || len(sent) != 1 {
		t.Errorf("written after the end: %v, %q", err, sent)
	}
}
