package handshake

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"hedgerow/protocol"
)

// TestAttemptTimes holds the exact times of the timed attempts, with the least and
// the most jitter, and that a pair handshake ends after 90 s.
func TestAttemptTimes(t *testing.T) {
	none := func(time.Duration) time.Duration { return 0 }
	most := func(d time.Duration) time.Duration { return d - 1 }
	for _, test := range []struct {
		hop    bool
		jitter func(time.Duration) time.Duration
		want   []float64
	}{
		{false, nil, []float64{0, 1, 3, 7, 12, 17, 22, 27, 32, 37, 42, 47, 52, 57, 62, 67, 72, 77, 82, 87, 90}},
		{false, none, []float64{0, 1, 3, 7, 12, 17}},
		{false, most, []float64{0, 1, 3, 7, 13, 19, 25, 31, 37, 43, 49, 55, 61, 67, 73, 79, 85, 90}},
		{true, none, []float64{0, 1, 3, 5, 7, 9, 11}},
		{true, most, []float64{0, 1, 3, 6, 9, 12}},
	} {
		t.Run(fmt.Sprintf("hop %v", test.hop), func(t *testing.T) {
			a, b := ends(test.hop)
			a.Jitter = test.jitter
			i := a.to(b)
			if i.Active() || !i.Deadline().IsZero() || i.Attempts() != 0 {
				t.Error("active before the start")
			}
			want(t, "Retry before Start", second(i.Retry(noon)), ErrIndex)
			_, err := i.Start(noon)
			now := noon
			for n, s := range test.want {
				if d := now.Sub(at(s)); d > 0 || d < -time.Microsecond {
					t.Fatalf("attempt %d at %v", n+1, now.Sub(noon))
				}
				if s == 90 {
					want(t, "the end", err, ErrGivenUp)
					if i.Active() || !i.Deadline().IsZero() {
						t.Error("active after the end")
					}
					return
				}
				want(t, "attempt", err, nil)
				if i.Attempts() != n+1 || !i.Begun().Equal(noon) || !i.Sent().Equal(now) {
					t.Errorf("attempts %d, begun %v, sent %v", i.Attempts(), i.Begun(), i.Sent())
				}
				if now = i.Deadline(); now.Sub(noon) > 89*time.Second && now.Before(at(90)) && test.jitter != nil {
					now = at(90)
				}
				_, err = i.Retry(now)
			}
		})
	}
}

// TestHopNeverGivesUp: a supernode is asked for ever, and looked up again after
// every twelfth attempt.
func TestHopNeverGivesUp(t *testing.T) {
	a, b := ends(true)
	i := a.to(b)
	must[[]byte](t)(i.Start(noon))
	for n := 2; n < 2000; n++ {
		must[[]byte](t)(i.Retry(i.Deadline()))
		if i.Attempts() != n || i.LookUpAgain() != (n%12 == 0) {
			t.Fatalf("attempt %d: %d, look up %v", n, i.Attempts(), i.LookUpAgain())
		}
	}
}

// TestEachInitIsAnother: a new index, a new ephemeral key and a greater stamp each
// time, though the clock stands or is set back.
func TestEachInitIsAnother(t *testing.T) {
	a, b := ends(false)
	wall := noon
	a.Wall = func(time.Time) time.Time { return wall }
	i := a.to(b)
	var last uint64
	seen := map[string]bool{}
	pkt, err := i.Start(noon)
	for n := range 10 {
		want(t, "INIT", err, nil)
		index, ok := i.Index()
		h := must[protocol.Header](t)(protocol.ParseHeader(pkt))
		if !ok || h.RX != index || h.KI != 3 || h.CTR != protocol.Revision || len(pkt) != protocol.InitLen {
			t.Fatalf("%+v", h)
		}
		for _, part := range [][]byte{pkt[4:8], pkt[16:48]} {
			if seen[string(part)] {
				t.Fatal("used twice")
			}
			seen[string(part)] = true
		}
		p := a.payload(t, pkt, b)
		if p.Stamp <= last || p.VMin != 1 || p.VMax != 1 || p.MAC != a.MAC || p.MTU != 1370 || p.Features != a.Features || p.Challenge != [16]byte{} {
			t.Fatalf("%+v after stamp %d", p, last)
		}
		last = p.Stamp
		switch n {
		case 3:
			wall = wall.Add(-time.Hour)
		case 6:
			wall = noon.Add(time.Hour)
			last = uint64(wall.UnixNano()) - 1
		}
		if n%2 == 0 {
			pkt, err = i.Retry(at(float64(n)))
		} else {
			pkt, err = i.Start(at(float64(n))) // a new handshake goes on from the last stamp
		}
	}
}

// step is one step of a script of answers that ask for another INIT.
type step struct {
	at    float64
	does  string // retry, or the answer: cookie, challenge, notice
	value byte   // of the cookie or the challenge; the key index of the notice
	err   error

	// What the INIT has, if there is no error, and when it is repeated.
	ki                uint8
	cookie, challenge byte // 0: none
	deadline          float64
}

// TestAskedFor runs scripts of answers: each is obeyed at once, three times in an
// attempt, and noted for the next one after that.
func TestAskedFor(t *testing.T) {
	for name, steps := range map[string][]step{
		"all three": {
			{at: 0.1, does: "cookie", value: 1, ki: 3, cookie: 1, deadline: 1.1},
			{at: 0.2, does: "notice", value: 4, ki: 4, cookie: 1, deadline: 1.2},
			{at: 0.3, does: "challenge", value: 2, ki: 4, cookie: 1, challenge: 2, deadline: 1.3},
			{at: 0.4, does: "cookie", value: 5, err: ErrCookieRepeated},
			{at: 0.5, does: "challenge", value: 6, err: ErrChallengeRepeated},
			{at: 1.3, does: "retry", ki: 4, cookie: 5, challenge: 6, deadline: 3.3},
			{at: 1.4, does: "cookie", value: 7, ki: 4, cookie: 7, challenge: 6, deadline: 3.4},
		},
		"cookies without end": {
			{at: 0.1, does: "cookie", value: 1, ki: 3, cookie: 1, deadline: 1.1},
			{at: 0.2, does: "cookie", value: 2, ki: 3, cookie: 2, deadline: 1.2},
			{at: 0.3, does: "cookie", value: 3, ki: 3, cookie: 3, deadline: 1.3},
			{at: 0.4, does: "cookie", value: 4, err: ErrCookieRepeated},
			{at: 0.5, does: "cookie", value: 5, err: ErrCookieRepeated},
			{at: 1.3, does: "retry", ki: 3, cookie: 5, deadline: 3.3},
			{at: 1.4, does: "cookie", value: 6, ki: 3, cookie: 6, deadline: 3.4},
		},
		"challenges without end": {
			{at: 0.1, does: "challenge", value: 1, ki: 3, challenge: 1, deadline: 1.1},
			{at: 0.2, does: "challenge", value: 2, ki: 3, challenge: 2, deadline: 1.2},
			{at: 0.3, does: "challenge", value: 3, ki: 3, challenge: 3, deadline: 1.3},
			{at: 0.4, does: "challenge", value: 4, err: ErrChallengeRepeated},
			{at: 1.3, does: "retry", ki: 3, challenge: 4, deadline: 3.3},
		},
		"a cookie lasts 120 s": {
			{at: 0.1, does: "cookie", value: 1, ki: 3, cookie: 1, deadline: 1.1},
			{at: 1.1, does: "retry", ki: 3, cookie: 1, deadline: 3.1},
			{at: 80, does: "start", ki: 3, cookie: 1, deadline: 81}, // of the next handshake as well
			{at: 120.099, does: "retry", ki: 3, cookie: 1, deadline: 122.099},
			{at: 120.1, does: "retry", ki: 3, deadline: 124.1},
		},
		"a challenge does not outlive its handshake": {
			{at: 0.1, does: "challenge", value: 1, ki: 3, challenge: 1, deadline: 1.1},
			{at: 5, does: "retry", ki: 3, challenge: 1, deadline: 7},
			{at: 10, does: "start", ki: 3, deadline: 11},
		},
		"epochs refused one after the other": {
			{at: 0.1, does: "notice", value: 5, ki: 5, deadline: 1.1},
			{at: 0.2, does: "notice", value: 4, err: ErrNoticeAvoided}, // under 5, which is not avoided: see below
		},
		"a NOTICE that helps nobody": {
			{at: 0.1, does: "notice", value: 77, err: ErrNoticeUnusable},
			{at: 1, does: "retry", ki: 3, deadline: 3}, // all are avoided: the first again
			{at: 1.1, does: "notice", value: 4, err: ErrNoticeAvoided},
			{at: 1.2, does: "start", ki: 3, deadline: 2.2},
			{at: 1.3, does: "notice", value: 4, ki: 4, deadline: 2.3}, // forgotten with the handshake
		},
		"a NOTICE that contradicts itself": {
			{at: 0.1, does: "notice", value: 3, err: ErrNoticeSame},
		},
		"NOTICEs without end": {
			{at: 0.1, does: "cookie", value: 1, ki: 3, cookie: 1, deadline: 1.1},
			{at: 0.2, does: "cookie", value: 1, ki: 3, cookie: 1, deadline: 1.2},
			{at: 0.3, does: "cookie", value: 1, ki: 3, cookie: 1, deadline: 1.3},
			{at: 0.4, does: "notice", value: 4, err: ErrNoticeRepeated},
			{at: 1.3, does: "retry", ki: 4, cookie: 1, deadline: 3.3},
		},
	} {
		if name == "epochs refused one after the other" {
			// A NOTICE for the second epoch names one that the first refused: it is
			// believed, since it is about the INIT that was sent last.
			steps[1] = step{at: 0.2, does: "notice", value: 4, ki: 4, deadline: 1.2}
		}
		t.Run(name, func(t *testing.T) { runSteps(t, steps) })
	}
}

func runSteps(t *testing.T, steps []step) {
	a, b := ends(false)
	a.epochs.indices = []uint8{3, 4, 5}
	i := a.to(b)
	init := must[[]byte](t)(i.Start(noon))
	for n, s := range steps {
		what := fmt.Sprintf("step %d, %s", n, s.does)
		now, before := at(s.at), i.Deadline()
		var pkt []byte
		var err error
		switch s.does {
		case "retry":
			pkt, err = i.Retry(now)
		case "start":
			pkt, err = i.Start(now)
		case "cookie":
			pkt, err = again(t, i, now, cookiePacket(a, init, b.Identity.Static[:], bytes.Repeat([]byte{s.value}, 16)))
		case "challenge":
			pkt, err = again(t, i, now, challenging(t, a, b, init, s.value))
		case "notice":
			pkt, err = again(t, i, now, noticePacket(a, init, s.value))
		}
		want(t, what, err, s.err)
		if s.err != nil {
			if pkt != nil || !i.Deadline().Equal(before) {
				t.Fatalf("%s: a packet of %d bytes, deadline %v", what, len(pkt), i.Deadline())
			}
			continue
		}
		init = pkt
		checkInit(t, what, a, b, pkt, s)
		if d := i.Deadline(); !d.Equal(at(s.deadline)) {
			t.Errorf("%s: deadline after %v", what, d.Sub(noon))
		}
	}
}

// again is Handle of a packet that must not end the handshake.
func again(t *testing.T, i *Initiator, now time.Time, pkt []byte) ([]byte, error) {
	t.Helper()
	init, done, err := i.Handle(now, pkt)
	if done != nil {
		t.Fatal("the handshake ended")
	}
	return init, err
}

// checkInit compares an INIT with what a step wants in it.
func checkInit(t *testing.T, what string, a, b *end, pkt []byte, s step) {
	t.Helper()
	h := must[protocol.Header](t)(protocol.ParseHeader(pkt))
	p := a.payload(t, pkt, b)
	if h.KI != s.ki || p.Challenge != [16]byte{s.challenge} {
		t.Errorf("%s: key index %d, challenge %x", what, h.KI, p.Challenge)
	}
	for c := range byte(10) {
		mac2 := keyed(bytes.Repeat([]byte{c}, 16), pkt[:176])
		if bytes.Equal(mac2, pkt[176:]) != (c == s.cookie && c != 0) {
			t.Errorf("%s: cookie %d: %v", what, c, c != s.cookie)
		}
	}
}

// TestInitiatorRefuses: each fault of an answer has its error, and changes nothing.
func TestInitiatorRefuses(t *testing.T) {
	for _, hop := range []bool{false, true} {
		a, b := ends(hop)
		a.epochs.indices = []uint8{3, 4}
		i := a.to(b)
		init := must[[]byte](t)(i.Start(noon))
		good, _, err := b.answer(t, noon, init, home)
		want(t, "RESP", err, nil)
		stranger := newEnd("edge 3", hop)
		resp := func(change func(p []byte) []byte) []byte { return change(bytes.Clone(good)) }
		cookie := cookiePacket(a, init, b.Identity.Static[:], make([]byte, 16))
		type fault struct {
			name string
			pkt  []byte
			err  error
		}
		faults := []fault{
			{"empty", nil, ErrLength},
			{"a header", good[:16], ErrLength},
			{"too short", good[:127], ErrLength},
			{"too long", append(bytes.Clone(good), 0), ErrLength},
			{"a version", resp(func(p []byte) []byte { p[0] ^= 0x60; return p }), ErrVersion},
			{"a type", resp(func(p []byte) []byte { p[0] |= 0x1f; return p }), ErrHeader},
			{"DATA", resp(func(p []byte) []byte { p[0] = 1<<5 | byte(protocol.TypeData); return p }), ErrHeader},
			{"our own INIT", init, ErrHeader},
			{"a flag", resp(func(p []byte) []byte { p[3] = 1; return p }), ErrHeader},
			{"an unknown flag", resp(func(p []byte) []byte { p[3] = 0x80; return p }), ErrHeader},
			{"another transform", resp(func(p []byte) []byte { p[1] ^= 0x30; return p }), ErrTransform},
			{"an index", resp(func(p []byte) []byte { p[7] ^= 1; return p }), ErrIndex},
			{"a key index", resp(func(p []byte) []byte { p[2] ^= 1; return p }), ErrKeyIndex},
			{"mac1", resp(func(p []byte) []byte { p[127-16] ^= 1; return p }), ErrMAC1},
			{"a body", resp(func(p []byte) []byte { p[60] ^= 1; return p }), ErrMAC1},
			{"by another responder", remac(resp(func(p []byte) []byte { return p }), stranger.Identity.Static), ErrMAC1},
			{"a body with a right mac1", remac(resp(func(p []byte) []byte { p[60] ^= 1; return p }), b.Identity.Static), ErrOpen},
			{"a point of low order", remac(resp(func(p []byte) []byte { clear(p[16:48]); return p }), b.Identity.Static), ErrOpen},
			{"another version inside", respPacket(t, a, b, init, func(p *protocol.RespPayload) { p.Version = 2 }), ErrVersion},
			{"a flag inside", respPacket(t, a, b, init, func(p *protocol.RespPayload) { p.Flags = 2 }), ErrPayload},
			{"a COOKIE of a stranger", cookiePacket(a, init, stranger.Identity.Static[:], make([]byte, 16)), ErrCookie},
			{"a COOKIE for another INIT", cookiePacket(a, append(bytes.Clone(init[:160]), make([]byte, 32)...), b.Identity.Static[:], make([]byte, 16)), ErrCookie},
			{"a COOKIE too short", cookie[:71], ErrLength},
			{"a COOKIE's key index", func() []byte { c := bytes.Clone(cookie); c[2] ^= 1; return c }(), ErrKeyIndex},
		}
		if hop {
			notice := make([]byte, protocol.NoticeLen)
			index, _ := i.Index()
			protocol.Header{Type: protocol.TypeNotice, XF: protocol.XFHop, KI: protocol.KINone, RX: index}.Put(notice)
			faults = append(faults, fault{"a NOTICE", notice, ErrHeader})
		} else {
			notice := noticePacket(a, init, 4)
			changed := func(n int, b byte) []byte { p := bytes.Clone(notice); p[n] ^= b; return p }
			malformed := bytes.Clone(notice[:32])
			malformed[16] = 9
			faults = append(faults, []fault{
				{"a NOTICE's mac", changed(47, 1), ErrNoticeMAC},
				{"a NOTICE's body", changed(17, 1), ErrNoticeMAC},
				{"a NOTICE's key index", changed(2, 1), ErrKeyIndex},
				{"a NOTICE for another INIT", noticePacket(a, append(bytes.Clone(init[:160]), make([]byte, 32)...), 4), ErrNoticeMAC},
				{"a malformed NOTICE", sealNotice(a, malformed, init), ErrNotice},
			}...)
		}
		index, _ := i.Index()
		for _, f := range faults {
			pkt, done, err := i.Handle(at(0.5), bytes.Clone(f.pkt))
			if pkt != nil || done != nil {
				t.Errorf("hop %v, %s: something came of it", hop, f.name)
			}
			want(t, fmt.Sprintf("hop %v, %s", hop, f.name), err, f.err)
		}
		if now, ok := i.Index(); !ok || now != index || !i.Deadline().Equal(at(1)) {
			t.Error("a refused packet changed the handshake")
		}
		_, done, err := i.Handle(at(0.6), good)
		if done == nil {
			t.Errorf("hop %v: refused packets spoilt the handshake: %v", hop, err)
		}
	}
}

// TestNoHandshake: answers find nobody before a start and after a stop, and some
// handshakes do not begin.
func TestNoHandshake(t *testing.T) {
	a, b := ends(false)
	i := a.to(b)
	init := must[[]byte](t)(i.Start(noon))
	resp, _, _ := b.answer(t, noon, init, home)
	i.Stop()
	want(t, "after Stop", errorOf(i.Handle(noon, resp)), ErrIndex)
	want(t, "Retry after Stop", second(i.Retry(noon)), ErrIndex)
	want(t, "with ourselves", second(a.to(a).Start(noon)), ErrSelf)
	a.epochs.silent = true // nothing to send under, but the receive window is open still
	init = must[[]byte](t)(i.Start(noon))
	if init[2] != 3 {
		t.Errorf("key index %d", init[2])
	}
	for name, e := range map[string]epochs{"none": {}, "not received": {indices: []uint8{3}, deaf: true}} {
		*a.epochs = e
		_, err := i.Start(noon)
		want(t, name, err, ErrNoEpoch)
		if _, ok := i.Index(); ok || !i.Active() || !i.Deadline().Equal(at(1)) {
			t.Errorf("%s: deadline %v", name, i.Deadline())
		}
	}
	*a.epochs = epochs{indices: []uint8{3}}
	must[[]byte](t)(i.Retry(at(1))) // once there is one, it goes on
}

// TestLateAnswer: the answer to an INIT that was sent again is refused, but for that of a
// supernode to the one before the last. An INIT that was answered has no other answer.
func TestLateAnswer(t *testing.T) {
	for _, hop := range []bool{false, true} {
		a, b := ends(hop)
		i := a.to(b)
		inits := [][]byte{must[[]byte](t)(i.Start(noon))}
		for n := range 3 {
			inits = append(inits, must[[]byte](t)(i.Retry(at(float64(n+1)))))
		}
		var answers [][]byte
		for _, init := range inits {
			resp, _, err := b.answer(t, at(3), init, home)
			want(t, "RESP", err, nil)
			answers = append(answers, resp)
		}
		want(t, "two before", errorOf(i.Handle(at(3.1), answers[1])), ErrIndex)
		before, rtt := answers[2], 1500*time.Millisecond
		if !hop {
			want(t, "before", errorOf(i.Handle(at(3.2), before)), ErrIndex)
			before, rtt = answers[3], 500*time.Millisecond
		}
		if _, done, err := i.Handle(at(3.5), before); done == nil || done.RTT != rtt {
			t.Errorf("hop %v: %+v, %v", hop, done, err)
		}
		want(t, "after the end", errorOf(i.Handle(at(3.6), answers[3])), ErrIndex)
	}
}

// TestLateDemand: an INIT before the last one may still be told to show a cookie or to echo a
// challenge, once; the last one goes on waiting.
func TestLateDemand(t *testing.T) {
	for _, demand := range []string{"cookie", "challenge"} {
		a, b := ends(true)
		i := a.to(b)
		first := must[[]byte](t)(i.Start(noon))
		second := must[[]byte](t)(i.Retry(at(1)))
		resp, _, err := b.answer(t, at(1), second, home)
		want(t, "RESP", err, nil)
		if demand == "cookie" {
			b.responds(-1)
		}
		asks, _, _ := b.answer(t, at(1), first, home) // older than what was answered: it is challenged
		if again, _, err := i.Handle(at(1.2), asks); again == nil {
			t.Fatalf("%s: %v", demand, err)
		}
		want(t, "once more", errorOf(i.Handle(at(1.3), asks)), ErrIndex)
		if _, done, err := i.Handle(at(1.4), resp); done == nil {
			t.Errorf("%s: %v", demand, err)
		}
	}
}
