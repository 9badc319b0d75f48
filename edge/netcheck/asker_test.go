package netcheck

import (
	"context"
	"crypto/rand"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/stun"
)

// Only who was asked may answer, once, to a question that was put.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		w.net.Host(superAddr)
		h := w.net.Host(homeAddr)
		conn, err := h.Listen(0)
		if err != nil {
			t.Fatal(err)
		}
		a := newAsker(memoryConn{conn}, nil, rand.Reader)
		defer a.close()
		to := netip.AddrPortFrom(superAddr, superPort)
		answers := make(chan answer, 4)
		var request []byte
		w.net.Tap(func(_, _ netip.AddrPort, b []byte) { request = append([]byte(nil), b...) })
		if err := a.send(to, form{}, answers); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		genuine, err := stun.AppendResponse(nil, request, netip.MustParseAddrPort("198.51.100.1:5"), netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		var other [12]byte
		unasked, _ := stun.AppendResponse(nil, stun.AppendRequest(nil, other), to, netip.AddrPort{})
		now := time.Now()
		a.accept(now, genuine, netip.AddrPortFrom(otherAddr, superPort))
		a.accept(now, unasked, to)
		a.accept(now, request, to)
		a.accept(now, genuine[:len(genuine)-1], to)
		a.accept(now, nil, to)
		if len(answers) != 0 {
			t.Fatalf("%+v was taken", <-answers)
		}
		a.accept(now, genuine, to)
		a.accept(now, genuine, to)
		if len(answers) != 1 {
			t.Errorf("%d answers", len(answers))
		}
	})
}

// A padded request is as long as asked for, and is a request.
func TestPad(t *testing.T) {
	id := [12]byte{1, 2, 3}
	for size := stun.RequestLen; size <= 1472; size += 4 {
		pkt := pad(stun.AppendRequest(nil, id), size)
		r, err := stun.ParseRequest(pkt)
		if len(pkt) != size || err != nil || r.ID != id {
			t.Fatalf("%d bytes: %d, %+v, %v", size, len(pkt), r, err)
		}
	}
}

// A run ends early when its context does.
func TestEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		w.checkUntil(ctx, w.net.Host(homeAddr), superAddr)
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}
