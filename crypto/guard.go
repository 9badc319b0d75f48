package crypto

import (
	"crypto/rand"
	"io"
	"net/netip"
	"sync"
	"time"

	"hedgerow/internal/bucket"
)

// Limits of a Guard. An office behind one address may start a hundred edges at
// once, while a stranger at one address costs about a hundredth of a core, and one
// with a whole /48 four times as much.
const (
	cookiePeriod    = 120 * time.Second
	challengePeriod = 30 * time.Second
	// challengesMax is how many keys may use a challenge in a period. It is more
	// than a responder that bounds its strangers lets in (2000 a second), so that
	// they cannot use up what others need.
	challengesMax = 65536

	initRate    = 50 // INITs a second of one IPv4 address or IPv6 /64
	initBurst   = 100
	initSources = 65536 // they share buckets when there are more
)

// Guard stands in front of a responder: cheap tests that keep strangers from
// making it work (mac1, mac2, a token bucket), and tests that reject replayed
// INITs (stamps, challenges). All its tables are bounded. It is safe for
// concurrent use.
type Guard struct {
	mu         sync.Mutex
	mac1Key    keyState
	cookies    cookies
	challenges rotatingSecret
	used       [2]map[[32]byte]byte // challenges used per key; by generation mod 2
	stamps     stampTable
	proved     *bucket.Networks // of sources that have returned a cookie
	claimed    *bucket.Networks // of those that anybody may have written
}

// NewGuard returns the guard of the responder with that static public key. It
// reads 64 bytes from random now, and nonces of cookies later; nil means
// crypto/rand. A source that fails is the caller's bug and panics.
func NewGuard(static [32]byte, random io.Reader) *Guard {
	if random == nil {
		random = rand.Reader
	}
	g := &Guard{
		cookies: cookies{
			secret: rotatingSecret{period: cookiePeriod}, hasher: newHasher(),
			sealKey: staticKey("cookie", static), random: random,
		},
		proved:     bucket.NewNetworks(initSources),
		claimed:    bucket.NewNetworks(initSources),
		challenges: rotatingSecret{period: challengePeriod},
	}
	mac1 := staticKey("mac1", static)
	g.mac1Key.setKey(mac1[:])
	g.cookies.hasher.digest(&g.mac1Key)
	for _, b := range [][]byte{g.cookies.secret.master[:], g.challenges.master[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			panic("crypto: NewGuard: " + err.Error())
		}
	}
	return g
}

// CheckMAC1 reports whether an INIT has the right length and its sender knows
// our static key.
func (g *Guard) CheckMAC1(init []byte) bool {
	if len(init) != initLen {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	const at = initLen - 32
	return equal(g.cookies.hasher.sum(&g.mac1Key, init[:at]), init[at:at+16])
}

// CheckMAC2 reports whether an INIT carries a cookie that was given to src in
// the last two to four minutes. src is the address and port in bytes, or the
// supernode's key and the source handle for a relayed INIT.
func (g *Guard) CheckMAC2(now time.Time, init, src []byte) bool {
	if len(init) != initLen {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cookies.shown(now, init, src)
}

// AppendCookie appends the COOKIE (72 bytes, not masked) that answers init from
// src to dst; hdr is its complete header. It appends nothing when init has not
// the length of an INIT, so that a COOKIE is never longer than its INIT.
func (g *Guard) AppendCookie(dst []byte, now time.Time, hdr [16]byte, init, src []byte) []byte {
	if len(init) != initLen {
		return dst
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cookies.append(dst, now, hdr, init, src)
}

// Challenge returns the value that an initiator with that static key has to echo
// in its next INIT when its stamp is not fresh. The guard stores nothing for it.
func (g *Guard) Challenge(now time.Time, static [32]byte) [16]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turnChallenges(now)
	return g.challenge(g.challenges.gen, static)
}

// TakeChallenge reports whether c is a challenge that was given to this key in
// the last 30 to 60 seconds and has not been used, and marks it as used. The
// next challenge for the same key is another, so an initiator with a wrong clock
// pays a round trip each time but is never locked out. When more keys than the
// table holds used theirs in one period, further keys have to ask again in the
// next.
func (g *Guard) TakeChallenge(now time.Time, static [32]byte, c [16]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turnChallenges(now)
	for _, gen := range [2]uint64{g.challenges.gen, g.challenges.gen - 1} {
		if !equal(g.challenge(gen, static), c[:]) {
			continue
		}
		used := g.used[gen%2]
		if n, ok := used[static]; n == 255 || !ok && len(used) >= challengesMax {
			return false
		}
		if used == nil {
			used = make(map[[32]byte]byte)
			g.used[gen%2] = used
		}
		used[static]++
		return true
	}
	return false
}

// turnChallenges starts a new generation when it is time, and forgets which
// challenges were used in those that are over.
func (g *Guard) turnChallenges(now time.Time) {
	switch g.challenges.turn(now) {
	case 1:
		g.used[g.challenges.gen%2] = nil
	case 2:
		g.used = [2]map[[32]byte]byte{}
	}
}

// challenge returns the challenge of a generation for a key: a hash of the key,
// and of how many it has used already.
func (g *Guard) challenge(gen uint64, static [32]byte) [16]byte {
	if n := g.used[gen%2][static]; n > 0 {
		return g.challenges.hash(gen, static[:], []byte{n})
	}
	return g.challenges.hash(gen, static[:])
}

// Allow takes a token of the address's buckets and reports whether there was one:
// 50 a second and 100 at once for an IPv4 address or an IPv6 /64, twice as much for a
// /56, and four times for a /48 or an IPv4 /24. proved says that the INIT has passed
// CheckMAC2. What has not takes from buckets of its own: whoever writes another's
// address into his INITs makes that one show a cookie, and takes nothing more from
// it. Ask only after CheckMAC1.
func (g *Guard) Allow(now time.Time, a netip.Addr, proved bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if proved {
		return g.proved.Take(now, a, initRate, initBurst)
	}
	return g.claimed.Take(now, a, initRate, initBurst)
}

// FreshStamp reports whether an INIT's stamp is greater than the last one from
// that key, and records it. Ask only after ReadInit: the key must be proven. If
// it is not fresh, the payload has to echo a challenge.
func (g *Guard) FreshStamp(static [32]byte, stamp uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stamps.fresh(static, stamp)
}
