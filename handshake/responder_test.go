package handshake

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// initiate makes an INIT of a's to b with any payload.
func initiate(t testing.TB, a, b *end, ki uint8, psk [32]byte, change func(*protocol.InitPayload)) []byte {
	t.Helper()
	p := protocol.InitPayload{Stamp: uint64(noon.UnixNano()), VMin: protocol.Version, VMax: protocol.Version}
	change(&p)
	var plain [48]byte
	p.Put(&plain)
	_, pkt, err := crypto.Initiate(a.config(psk), b.Identity.Static, a.header(protocol.TypeInit, ki, 77, protocol.Revision), plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkt
}

// older makes an INIT of a's to b as it was before version 1 was final, as far as it can
// be read without a key.
func older(t testing.TB, a, b *end, ki uint8, psk [32]byte) []byte {
	t.Helper()
	_, pkt, err := crypto.Initiate(a.config(psk), b.Identity.Static, a.header(protocol.TypeInit, ki, 77, 0), [48]byte{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkt
}

// TestResponderRefuses: each fault of an INIT has its error and no answer, and
// costs its sender nothing of its rate before mac1 is right.
func TestResponderRefuses(t *testing.T) {
	for _, hop := range []bool{false, true} {
		a, b := ends(hop)
		good := must[[]byte](t)(a.to(b).Start(noon))
		changed := func(change func(p []byte)) []byte { p := bytes.Clone(good); change(p); return p }
		psk := [32]byte{}
		if !hop {
			psk, _ = b.epochs.PSK(noon, 3)
		}
		says := func(from *end, change func(*protocol.InitPayload)) []byte {
			return initiate(t, from, b, good[2], psk, change)
		}
		resp, _, err := b.answer(t, noon, good, home)
		want(t, "a good one", err, nil)
		for _, f := range []struct {
			name string
			pkt  []byte
			err  error
		}{
			{"empty", nil, ErrLength},
			{"too short", good[:191], ErrLength},
			{"too long", append(bytes.Clone(good), 0), ErrLength},
			{"a RESP", resp, ErrHeader},
			{"another version", changed(func(p []byte) { p[0] ^= 0x60 }), ErrVersion},
			{"of before version 1 was final", older(t, a, b, good[2], psk), ErrOlder},
			{"a flag", changed(func(p []byte) { p[3] = 2 }), ErrHeader},
			{"another transform", changed(func(p []byte) { p[1] ^= 0x30 }), ErrTransform},
			{"no epoch, or one for a hop", changed(func(p []byte) { p[2] = ^p[2] | map[bool]byte{false: 0xff, true: 0}[hop] }), ErrKeyIndex},
			{"mac1", changed(func(p []byte) { p[165] ^= 1 }), ErrMAC1},
			{"a body", changed(func(p []byte) { p[60] ^= 1 }), ErrMAC1},
			{"a body with a right mac1", remac(changed(func(p []byte) { p[60] ^= 1 }), b.Identity.Static), ErrOpen},
			{"a point of low order", remac(changed(func(p []byte) { clear(p[16:48]) }), b.Identity.Static), ErrOpen},
			{"another psk", initiate(t, a, b, good[2], [32]byte{9}, func(*protocol.InitPayload) {}), ErrOpen},
			{"a later version only", says(a, func(p *protocol.InitPayload) { p.VMin, p.VMax = 2, 3 }), ErrVersion},
			{"an earlier version only", says(a, func(p *protocol.InitPayload) { p.VMin, p.VMax = 0, 0 }), ErrVersion},
			{"our own key", says(b, func(*protocol.InitPayload) {}), ErrSelf},
		} {
			o, pkt, err := b.responder.Read(noon, bytes.Clone(f.pkt), home)
			want(t, fmt.Sprintf("hop %v, %s", hop, f.name), err, f.err)
			if pkt != nil || (o != nil) != (err == nil) {
				t.Errorf("hop %v, %s: an answer of %d bytes, opening %v", hop, f.name, len(pkt), o)
			}
		}
	}
}

// TestResponderOrder: cheap checks come first, and what fails one takes nothing
// from what a later one counts.
func TestResponderOrder(t *testing.T) {
	a, b := ends(false)
	full, asked := false, 0
	b.responder = NewResponder(ResponderConfig{Party: b.Party, InitRate: 1e6, Room: func(time.Time, Source, bool) bool { asked++; return !full }})
	i := a.to(b)
	good := must[[]byte](t)(i.Start(noon))
	wrong := bytes.Clone(good)
	wrong[170] ^= 1
	for range 1000 {
		_, _, err := b.responder.Read(noon, wrong, home)
		want(t, "wrong mac1", err, ErrMAC1)
	}
	a.epochs.indices = []uint8{8}
	other := must[[]byte](t)(a.to(b).Start(noon))
	a.epochs.indices = []uint8{3}
	full = true
	for range 50 { // room is asked for before the epoch and before Noise
		_, _, err := b.responder.Read(noon, other, home)
		want(t, "full", err, ErrCookieDemanded)
	}
	full = false
	for range 49 {
		_, _, err := b.responder.Read(noon, good, home)
		want(t, "within the rate", err, nil)
	}
	want(t, "the last token", errorAt(b, noon, good, home), nil) // the burst is 100
	for range 10 {
		want(t, "over the rate", errorAt(b, noon, good, home), ErrCookieDemanded)
	}
	if asked != 100 {
		t.Errorf("asked for room %d times", asked)
	}
	want(t, "another source", errorAt(b, noon, good, source("192.0.2.9:1")), nil)
	want(t, "the same address, another port", errorAt(b, noon, good, source("192.0.2.1:1")), ErrCookieDemanded)
	want(t, "a second later", errorAt(b, at(1), good, home), nil)
}

// TestProvedSources: a source that shows a cookie has tokens of its own, which nobody
// uses up who writes its address into his INITs. One that the caller knows takes none.
func TestProvedSources(t *testing.T) {
	a, b := ends(true)
	full, asked := false, 0
	b.responder = NewResponder(ResponderConfig{Party: b.Party, InitRate: 1e6, Room: func(_ time.Time, _ Source, proved bool) bool {
		if proved {
			asked++
		}
		return !full
	}})
	i := a.to(b)
	plain := must[[]byte](t)(i.Start(noon))
	for range 1000 { // anybody's, in the name of home
		_, _, _ = b.responder.Read(noon, plain, home)
	}
	_, cookie, err := b.responder.Read(noon, plain, home)
	want(t, "unproved", err, ErrCookieDemanded)
	proved := must[[]byte](t)(again(t, i, noon, cookie))
	for range 100 {
		want(t, "proved", errorAt(b, noon, proved, home), nil)
	}
	want(t, "over the rate", errorAt(b, noon, proved, home), ErrSourceRate)
	known, crowded := home, home
	known.Known, crowded.Crowded = true, true
	for range 100 {
		want(t, "known", errorAt(b, noon, proved, known), nil)
	}
	want(t, "known, unproved", errorAt(b, noon, plain, known), ErrCookieDemanded)
	want(t, "crowded, unproved", errorAt(b, at(1), plain, crowded), ErrCookieDemanded)
	want(t, "crowded, proved", errorAt(b, at(1), proved, crowded), nil)
	full = true
	want(t, "full, proved", errorAt(b, at(2), proved, home), ErrFull)
	want(t, "full, unproved", errorAt(b, at(2), plain, home), ErrCookieDemanded)
	if asked != 100+100+1+1 {
		t.Errorf("asked %d times for room for a proved source", asked)
	}
}

func errorAt(e *end, now time.Time, init []byte, from Source) error {
	_, _, err := e.responder.Read(now, init, from)
	return err
}

// TestCookieUnderLoad: beyond its rate a responder demands cookies, in this second
// and the next, and one is good for one address and port only.
func TestCookieUnderLoad(t *testing.T) {
	for _, rate := range []int{-1, 3} {
		a, b := ends(true)
		b.responds(rate)
		i := a.to(b)
		init := must[[]byte](t)(i.Start(noon))
		for n := range max(rate, 0) {
			want(t, fmt.Sprint("INIT ", n), errorAt(b, noon, init, home), nil)
		}
		demanded := func(now time.Time, from Source) []byte {
			_, pkt, err := b.responder.Read(now, init, from)
			want(t, "under load", err, ErrCookieDemanded)
			if len(pkt) != protocol.CookieLen {
				t.Fatalf("an answer of %d bytes", len(pkt))
			}
			return pkt
		}
		cookie := demanded(noon, home)
		init = must[[]byte](t)(again(t, i, noon, cookie))
		demanded(noon, source("192.0.2.1:7655"))
		demanded(noon, source("192.0.2.2:7654"))
		want(t, "with the cookie", errorAt(b, noon, init, home), nil)
		want(t, "in the next second", errorAt(b, at(1), init, home), nil)
		demanded(at(1.9), source("192.0.2.2:7654"))
		if rate < 0 {
			demanded(at(500), source("192.0.2.2:7654"))
			continue
		}
		want(t, "after a quiet second", errorAt(b, at(3), init, source("192.0.2.2:7654")), nil)
	}
}

// TestCookieOfTwoAddresses: an edge that tries a supernode's two addresses in turn,
// of which each sees another address of the edge, gets through under load.
func TestCookieOfTwoAddresses(t *testing.T) {
	a, b := ends(true)
	b.responds(-1)
	i := a.to(b)
	init := must[[]byte](t)(i.Start(noon))
	lost := 5 // RESPs
	for n := range 10 {
		from := []Source{home, source("[2001:db8::1]:7654")}[n%2]
		now := i.Sent()
		for {
			pkt, _, err := b.answer(t, now, init, from)
			if err == nil {
				if lost--; lost >= 0 {
					break
				}
				if _, done, _ := i.Handle(now, pkt); done == nil {
					t.Fatal("not finished")
				}
				return
			}
			want(t, "answer", err, ErrCookieDemanded)
			init = must[[]byte](t)(again(t, i, now, pkt)) // back to where it came from
		}
		init = must[[]byte](t)(i.Retry(i.Deadline()))
	}
	t.Fatal("no session")
}

// TestLoad counts in whole seconds.
func TestLoad(t *testing.T) {
	var l load
	for _, s := range []struct {
		at   float64
		want int
	}{
		{0, 1}, {0.5, 2}, {0.999, 3}, {1, 3}, {1.1, 3}, {1.2, 3}, {1.3, 4}, {2, 4}, {4, 1}, {5, 1}, {5, 2}, {3, 1}, {60, 1},
	} {
		if got := l.add(at(s.at)); got != s.want {
			t.Errorf("at %v: %d, want %d", s.at, got, s.want)
		}
	}
}

// TestUnknownEpoch: an INIT under an epoch that is not received gets a NOTICE, and
// the initiator finishes under another one.
func TestUnknownEpoch(t *testing.T) {
	a, b := ends(false)
	a.epochs.indices, b.epochs.indices = []uint8{9, 8, 7}, []uint8{6, 7, 8}
	i := a.to(b)
	init := must[[]byte](t)(i.Start(noon))
	notice, done, err := b.answer(t, noon, init, home)
	want(t, "epoch 9", err, ErrUnknownEpoch)
	if len(notice) != protocol.NoticeLen || done != nil {
		t.Fatalf("%d bytes", len(notice))
	}
	init = must[[]byte](t)(again(t, i, noon, notice))
	if init[2] != 8 { // a's best of those that b takes
		t.Errorf("retried under %d", init[2])
	}
	resp, theirs, err := b.answer(t, noon, init, home)
	want(t, "epoch 8", err, nil)
	if _, ours, err := i.Handle(noon, resp); err != nil || ours.KI != 8 || theirs.KI != 8 {
		t.Errorf("%+v, %v", ours, err)
	}
	// One that holds nothing has nothing to say.
	b.epochs.indices = nil
	init = must[[]byte](t)(i.Start(at(1)))
	notice, _, err = b.answer(t, at(1), init, home)
	want(t, "without epochs", err, ErrUnknownEpoch)
	if notice != nil {
		t.Error("an empty NOTICE")
	}
}

// TestNoticeRate: NOTICEs are bounded over all sources: 20 at once, 10 a second.
func TestNoticeRate(t *testing.T) {
	a, b := ends(false)
	b.epochs.indices = []uint8{4}
	init := must[[]byte](t)(a.to(b).Start(noon))
	for n := range 20 {
		want(t, fmt.Sprint("NOTICE ", n), errorAt(b, noon, init, home), ErrUnknownEpoch)
	}
	want(t, "one too many", errorAt(b, noon, init, source("192.0.2.3:1")), ErrNoticeRate)
	want(t, "0.1 s later", errorAt(b, at(0.1), init, home), ErrUnknownEpoch)
	want(t, "and one more", errorAt(b, at(0.1), init, home), ErrNoticeRate)
}

// TestReplay: an INIT makes one session, whichever way it was fresh, and a replay
// gets a challenge that does not help it.
func TestReplay(t *testing.T) {
	a, b := ends(true)
	i := a.to(b)
	replay := func(name string, init []byte) {
		t.Helper()
		for n := range 3 {
			resp, done, err := b.answer(t, at(1), init, source(fmt.Sprintf("192.0.2.%d:5", 50+n)))
			want(t, name, err, ErrStale)
			if done != nil || len(resp) != protocol.RespLen {
				t.Errorf("%s: %+v", name, done)
			}
		}
	}
	byStamp := must[[]byte](t)(i.Start(noon))
	want(t, "by stamp", errorOf(b.answer(t, noon, byStamp, home)), nil)
	replay("by stamp", byStamp)

	// The same identity started anew with a clock that is behind.
	late := a.to(b)
	a.Wall = func(now time.Time) time.Time { return now.Add(-time.Hour) }
	init := must[[]byte](t)(late.Start(noon))
	resp, _, err := b.answer(t, noon, init, home)
	want(t, "an old stamp", err, ErrStale)
	byChallenge := must[[]byte](t)(again(t, late, noon, resp))
	want(t, "by challenge", errorOf(b.answer(t, noon, byChallenge, home)), nil)
	replay("by challenge", byChallenge)

	// Fresh in both ways.
	psk := [32]byte{}
	challenge := b.responder.guard.Challenge(noon, a.Identity.Static)
	both := initiate(t, a, b, protocol.KINone, psk, func(p *protocol.InitPayload) {
		p.Stamp, p.Challenge = uint64(at(100).UnixNano()), challenge
	})
	want(t, "by both", errorOf(b.answer(t, noon, both, home)), nil)
	replay("by both", both)
}

// TestClockSetBack: under a running program it costs no challenge, since stamps
// rise anyway; a new program with a clock that is behind answers one challenge.
func TestClockSetBack(t *testing.T) {
	a, b := ends(false)
	behind := time.Duration(0)
	a.Wall = func(now time.Time) time.Time { return now.Add(-behind) }
	i := a.to(b)
	for n := range 5 {
		init := must[[]byte](t)(i.Start(at(float64(n))))
		resp, _, err := b.answer(t, at(float64(n)), init, home)
		want(t, "answer", err, nil)
		want(t, "finish", errorOf(i.Handle(at(float64(n)), resp)), nil)
		behind += time.Hour
	}
	i = a.to(b)
	init := must[[]byte](t)(i.Start(at(10)))
	resp, _, err := b.answer(t, at(10), init, home)
	want(t, "a new program", err, ErrStale)
	init = must[[]byte](t)(again(t, i, at(10), resp))
	want(t, "with the challenge", errorOf(b.answer(t, at(10), init, home)), nil)
}

// TestLostEcho: the INIT that echoes a challenge is lost until the challenge has
// expired. The next challenge is believed, however many attempts were made.
func TestLostEcho(t *testing.T) {
	for _, hop := range []bool{false, true} {
		a, b := ends(hop)
		want(t, "a later stamp", errorOf(b.answer(t, noon, must[[]byte](t)(a.to(b).Start(at(1000))), home)), nil)
		i := a.to(b)
		init := must[[]byte](t)(i.Start(noon))
		resp, _, err := b.answer(t, noon, init, home)
		want(t, "an old stamp", err, ErrStale)
		must[[]byte](t)(again(t, i, noon, resp))
		for i.Deadline().Before(at(75)) {
			init = must[[]byte](t)(i.Retry(i.Deadline())) // all lost
		}
		now := i.Sent()
		resp, _, err = b.answer(t, now, init, home)
		want(t, "an expired challenge", err, ErrStale)
		init = must[[]byte](t)(again(t, i, now, resp))
		resp, _, err = b.answer(t, now, init, home)
		want(t, "the new challenge", err, nil)
		if _, done, _ := i.Handle(now, resp); done == nil {
			t.Errorf("hop %v: not finished", hop)
		}
	}
}

// TestSimultaneousOpen: of two INITs that cross, that of the lower key stands, for
// a second after it was sent.
func TestSimultaneousOpen(t *testing.T) {
	low, high := ends(false)
	ours, theirs := low.to(high), high.to(low)
	fromLow := must[[]byte](t)(ours.Start(noon))
	fromHigh := must[[]byte](t)(theirs.Start(noon))
	answer := func(e *end, now time.Time, init []byte, own *Initiator) error {
		o, _, err := e.responder.Read(now, init, home)
		want(t, "Read", err, nil)
		resp, done, err := e.responder.Answer(now, o, own)
		if (resp == nil) != (err == ErrSimultaneous) || (done != nil) != (err == nil) {
			t.Errorf("%d bytes and %+v with %v", len(resp), done, err)
		}
		return err
	}
	want(t, "at the lower key", answer(low, at(0.999), fromHigh, ours), ErrSimultaneous)
	want(t, "at the higher key", answer(high, at(0.1), fromLow, theirs), nil)
	want(t, "a second later", answer(low, at(1), fromHigh, ours), nil)
	ours.Stop()
	fromHigh = must[[]byte](t)(theirs.Start(at(2)))
	want(t, "when ours is over", answer(low, at(2), fromHigh, ours), nil)
	fromHigh = must[[]byte](t)(theirs.Start(at(3)))
	want(t, "without one of ours", answer(low, at(3), fromHigh, nil), nil)
}

// TestNoLoop: whatever a responder asks for, again and again, an initiator sends
// no more than four INITs for each timed attempt.
func TestNoLoop(t *testing.T) {
	a, b := ends(false)
	a.epochs.indices = []uint8{3, 4, 5}
	i := a.to(b)
	init := must[[]byte](t)(i.Start(noon))
	sent := 1
	for n := 0; i.Active(); n++ {
		now := i.Sent()
		var answer []byte
		switch h, _ := protocol.ParseHeader(init); n % 3 {
		case 0:
			answer = cookiePacket(a, init, b.Identity.Static[:], make([]byte, 16))
		case 1:
			answer = challenging(t, a, b, init, byte(n))
		case 2:
			answer = noticePacket(a, init, 3+(h.KI-2)%3)
		}
		next, err := again(t, i, now, answer)
		if next == nil {
			next, err = i.Retry(i.Deadline())
		}
		if err != nil {
			want(t, "the end", err, ErrGivenUp)
			break
		}
		init = next
		if sent++; sent > 4*i.Attempts() {
			t.Fatalf("%d INITs in %d attempts", sent, i.Attempts())
		}
	}
	if i.Active() || i.Attempts() > 20 {
		t.Errorf("%d INITs in %d attempts", sent, i.Attempts())
	}
}
