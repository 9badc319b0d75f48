package edge

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
)

// Times of what is said about another machine with our identity.
const (
	twinShown   = 10 * time.Minute // in status since it was noticed last; the user is told as often
	twinRestart = time.Minute      // between two handshakes that a supernode's word about it begins
	// signAgainAfter is how far ahead of what a statement's number stands for the wall
	// clock must be for a new one to be signed: then the clock was wrong at our start.
	signAgainAfter = time.Minute
)

// twin is what was noticed of another machine that uses our identity, as a copy of our
// disk does. The two displace each other at supernodes and at peers; nothing else follows
// from it than that the user is told, since a supernode may say what it likes.
type twin struct {
	community string
	by        string    // who noticed it
	noticed   time.Time // last; zero: never
	told      time.Time
	reports   *reporter
}

// notice notes that somebody has noticed another machine with our identity.
func (t *twin) notice(now time.Time, by string) {
	t.by, t.noticed = by, now
	if t.told.IsZero() || now.Sub(t.told) >= twinShown {
		t.told = now
		t.reports.report(now, control.Event{Kind: control.EventIdentityTwice, Text: by})
	}
}

// near reports whether another machine was noticed lately.
func (t *twin) near(now time.Time) bool { return !t.noticed.IsZero() && now.Sub(t.noticed) < twinShown }

// note says for status that another machine uses our identity, empty: none was noticed.
func (t *twin) note(now time.Time) string {
	if !t.near(now) {
		return ""
	}
	return control.IdentityTwice(t.by, t.community)
}

// isTwins reports whether a verified statement is of our identity, and of a later start
// than ours: we have not signed it.
func (s *self) isTwins(st crypto.Statement) bool {
	return st.CID == s.cid && st.Static == s.identity.Static && st.ID == [32]byte(s.identity.ID) && st.Seq > s.seq
}

// signAgain signs a new statement if the clock was wrong at our start, which was some time
// ago, and is right now, so that a later statement than ours is known. It reports whether
// it did. With a clock that is right our number stands for the time of our start, so that
// two machines with one identity do not outbid each other.
func (s *self) signAgain(wall time.Time, ago time.Duration) bool {
	if uint64(max(wall.Add(-signAgainAfter).UnixMilli(), 0)) <= s.seq+uint64(ago.Milliseconds()) {
		return false
	}
	s.sign(wall, s.state.nextSeq(wall))
	s.state.keep()
	return true
}
