package crypto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"
)

// sGuard returns a guard with a fixed master secret, for the responder of the
// first handshake vector, and that vector.
func sGuard(t testing.TB) (*Guard, sHandshakeVector) {
	t.Helper()
	v := sVectors[sHandshakeVector](t, "handshake.json")[0]
	return NewGuard(v.responder().Local.Static, bytes.NewReader(bytes.Repeat([]byte{9, 8, 7}, 1000))), v
}

func TestGuardMAC1(t *testing.T) {
	g, v := sGuard(t)
	if !g.CheckMAC1(v.Init) {
		t.Fatal("a good INIT is refused")
	}
	sFlips(t, v.Init, func(bad []byte) bool {
		return g.CheckMAC1(bad) && !(len(bad) == initLen && bytes.Equal(bad[:176], v.Init[:176]))
	})
	other := NewGuard([32]byte{1}, nil)
	if other.CheckMAC1(v.Init) {
		t.Fatal("taken by another responder")
	}
}

// TestGuardCookie walks the whole way: INIT, COOKIE, INIT with mac2.
func TestGuardCookie(t *testing.T) {
	g, v := sGuard(t)
	i, src := v.initiate(t), []byte("192.0.2.1:7654")
	if g.CheckMAC2(sNow, v.Init, src) {
		t.Fatal("noise is taken for mac2")
	}
	hdr := [16]byte(v.CookiePacket[:16])
	pkt := g.AppendCookie([]byte("front"), sNow, hdr, v.Init, src)
	if len(pkt) != 5+cookieLen || string(pkt[:5]) != "front" || !bytes.Equal(pkt[5:21], hdr[:]) {
		t.Fatalf("%x", pkt)
	}
	cookie, err := i.OpenCookie(pkt[5:])
	if err != nil {
		t.Fatal(err)
	}
	_, init, err := Initiate(v.initiator(), v.responder().Local.Static, [16]byte(v.InitHeader), [48]byte(v.InitPayload), &cookie)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		src   string
		want  bool
	}{
		{0, "192.0.2.1:7654", true}, {0, "192.0.2.1:7655", false}, {0, "", false},
		{119 * time.Second, "192.0.2.1:7654", true}, {239 * time.Second, "192.0.2.1:7654", true},
		{240 * time.Second, "192.0.2.1:7654", false}, {0, "192.0.2.1:7654", false}, // the clock is set back
	} {
		if got := g.CheckMAC2(sNow.Add(tt.after), init, []byte(tt.src)); got != tt.want {
			t.Fatalf("%+v: %v", tt, got)
		}
	}
	sFlips(t, init, func(bad []byte) bool { return g.CheckMAC2(sNow, bad, src) })
	if got := g.AppendCookie(nil, sNow, hdr, v.Init[:71], src); got != nil {
		t.Fatal("a COOKIE longer than the request")
	}
	// Another initiator's INIT does not open it.
	other := *i
	other.mac1[0] ^= 1
	if _, err := other.OpenCookie(pkt[5:]); !errors.Is(err, ErrHandshake) {
		t.Fatal("a COOKIE for another INIT is taken")
	}
}

// TestGuardCookieNonces: no nonce of a COOKIE comes twice, whether many are made in a
// generation or generations begin anew.
func TestGuardCookieNonces(t *testing.T) {
	_, v := sGuard(t)
	g, i := NewGuard(v.responder().Local.Static, nil), v.initiate(t)
	seen := make(map[[24]byte]bool)
	for step := range 1000 {
		now := sNow.Add(time.Duration(step%10) * cookiePeriod)
		pkt := g.AppendCookie(nil, now, [16]byte(v.CookiePacket[:16]), v.Init, []byte{byte(step)})
		if _, err := i.OpenCookie(pkt); err != nil {
			t.Fatal(step, err)
		}
		if nonce := [24]byte(pkt[16:]); seen[nonce] {
			t.Fatalf("cookie %d has the nonce of another one", step)
		} else {
			seen[nonce] = true
		}
	}
}

func TestGuardChallenge(t *testing.T) {
	g, _ := sGuard(t)
	key, other := [32]byte{1}, [32]byte{2}
	at := func(s float64) time.Time { return sNow.Add(time.Duration(s * float64(time.Second))) }
	c := g.Challenge(at(0), key)
	if g.TakeChallenge(at(0), other, c) || g.TakeChallenge(at(0), key, [16]byte{}) {
		t.Fatal("a wrong challenge is taken")
	}
	if !g.TakeChallenge(at(1), key, c) {
		t.Fatal("the challenge is refused")
	}
	if g.TakeChallenge(at(1), key, c) {
		t.Fatal("taken twice")
	}
	again := g.Challenge(at(2), key)
	if again == c || !g.TakeChallenge(at(3), key, again) || g.TakeChallenge(at(3), key, again) {
		t.Fatal("the next challenge must be another, and work once")
	}

	for _, tt := range []struct {
		name   string
		issued float64
		used   float64
		want   bool
	}{
		{"at the end of a period", 129.9, 159.8, true},
		{"two periods later", 161, 222, false},
		{"30 s later", 250, 280, true},
		{"after a long pause", 300, 9000, false},
	} {
		c := g.Challenge(at(tt.issued), key)
		if got := g.TakeChallenge(at(tt.used), key, c); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if g.TakeChallenge(at(tt.used), key, c) {
			t.Errorf("%s: taken twice", tt.name)
		}
	}
	// A used one does not come back when it has become the previous one, nor
	// when the clock is set back.
	c = g.Challenge(at(20000), key)
	if !g.TakeChallenge(at(20000), key, c) || g.TakeChallenge(at(20031), key, c) || g.TakeChallenge(at(19000), key, c) {
		t.Fatal("used before, taken again")
	}
	c = g.Challenge(at(100), key)
	if !g.TakeChallenge(at(100), key, c) {
		t.Fatal("locked out by a clock that was set back")
	}
}

// TestGuardChallengeBound: the table of used challenges is bounded, and empty
// again in the next periods.
func TestGuardChallengeBound(t *testing.T) {
	g, _ := sGuard(t)
	var key [32]byte
	for i := range uint32(challengesMax) {
		binary.BigEndian.PutUint32(key[:], i)
		if !g.TakeChallenge(sNow, key, g.Challenge(sNow, key)) {
			t.Fatal(i)
		}
	}
	key[31] = 1
	if g.TakeChallenge(sNow, key, g.Challenge(sNow, key)) {
		t.Fatal("no bound")
	}
	key[31] = 0
	if !g.TakeChallenge(sNow, key, g.Challenge(sNow, key)) {
		t.Fatal("a key with an entry needs no room")
	}
	key[31] = 1
	if later := sNow.Add(30 * time.Second); !g.TakeChallenge(later, key, g.Challenge(later, key)) {
		t.Fatal("locked out in the next period")
	}
}

func TestGuardAllow(t *testing.T) {
	g, _ := sGuard(t)
	take := func(now time.Time, a string, n int) (got int) {
		for range n {
			if g.Allow(now, netip.MustParseAddr(a), false) {
				got++
			}
		}
		return got
	}
	for _, tt := range []struct {
		after time.Duration
		addr  string
		n     int
		want  int
	}{
		{0, "192.0.2.1", 300, initBurst},
		{0, "::ffff:192.0.2.1", 10, 0},
		{0, "192.0.2.2", 300, initBurst},
		{0, "2001:db8:0:1::1", 50, 50},
		{0, "2001:db8:0:1:ffff::2", 300, initBurst - 50},
		{0, "fe80::1%eth0", 300, initBurst},
		{0, "fe80::2%eth1", 300, 0},
		{0, "2001:db8:0:2::1", 300, initBurst},
		{19 * time.Millisecond, "192.0.2.1", 5, 0},
		{20 * time.Millisecond, "192.0.2.1", 5, 1},
		{time.Second, "192.0.2.1", 300, 49},
		{time.Hour, "192.0.2.1", 300, initBurst},
		{-time.Hour, "192.0.2.1", 300, initBurst}, // set back: never locked out
	} {
		if got := take(sNow.Add(tt.after), tt.addr, tt.n); got != tt.want {
			t.Fatalf("%+v: %d", tt, got)
		}
	}
	g.Allow(sNow, netip.Addr{}, false)
}

// TestGuardForgedSources: INITs that anybody may have written take nothing from a
// source that shows a cookie, and a source with many networks has no more than a /48.
func TestGuardForgedSources(t *testing.T) {
	g, _ := sGuard(t)
	victim := netip.MustParseAddr("192.0.2.1")
	for range 1000 {
		g.Allow(sNow, victim, false)
	}
	if g.Allow(sNow, victim, false) || !g.Allow(sNow, victim, true) {
		t.Error("a forged source uses up the tokens of a proved one")
	}
	passed := 0
	for i := range 65536 {
		if g.Allow(sNow, netip.AddrFrom16([16]byte{0x20, 1, 6: byte(i >> 8), 7: byte(i)}), true) {
			passed++
		}
	}
	if passed != 4*initBurst {
		t.Errorf("%d INITs of one /48", passed)
	}
}

func TestGuardStamp(t *testing.T) {
	g, _ := sGuard(t)
	a, b := [32]byte{1}, [32]byte{2}
	for i, tt := range []struct {
		key   [32]byte
		stamp uint64
		want  bool
	}{
		{a, 100, true}, {a, 100, false}, {a, 99, false}, {a, 101, true}, {b, 0, true}, {b, 0, false}, {b, 1, true}, {a, 1, false}, {a, 102, true},
	} {
		if got := g.FreshStamp(tt.key, tt.stamp); got != tt.want {
			t.Fatalf("step %d: %v", i, got)
		}
	}
}

// TestGuardStampBound: when keys had to be forgotten, an unknown one has to
// answer a challenge once, and the bound holds.
func TestGuardStampBound(t *testing.T) {
	g, _ := sGuard(t)
	var key [32]byte
	refused := 0
	for i := range uint32(3 * stampsMax) {
		binary.BigEndian.PutUint32(key[:], i)
		if !g.FreshStamp(key, 5) {
			refused++
		}
	}
	if n := len(g.stamps.recent) + len(g.stamps.old); n > 2*stampsMax || refused != stampsMax {
		t.Fatalf("%d entries, %d refused", n, refused)
	}
	if g.FreshStamp([32]byte{}, 5) {
		t.Fatal("an old INIT of a forgotten key is fresh")
	}
	if g.FreshStamp([32]byte{}, 5) || !g.FreshStamp([32]byte{}, 6) {
		t.Fatal("known again, so the rule is the usual one")
	}
	binary.BigEndian.PutUint32(key[:], 3*stampsMax-1)
	if g.FreshStamp(key, 5) || !g.FreshStamp(key, 6) {
		t.Fatal("a known key lost its stamp")
	}
}

func TestGuardRand(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("a guard without randomness")
		}
	}()
	NewGuard([32]byte{}, bytes.NewReader(make([]byte, 63)))
}
