package handshake

import (
	"fmt"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Times of an Initiator.
const (
	// GiveUpAfter is how long a pair handshake goes on without an answer
	// (PROTOCOL.md, section 4). A hop handshake never gives up.
	GiveUpAfter = 90 * time.Second

	firstWait   = time.Second
	longestPair = 5 * time.Second
	longestHop  = 2 * time.Second // relayed traffic waits for it
	waitJitter  = time.Second     // added from the longest wait on

	// cookieLife is how long a responder is sure to accept a cookie that it has
	// given: its secret of a period of 120 s serves for one more.
	cookieLife = 120 * time.Second

	// repeatsMax is how often an INIT is repeated between two timed attempts
	// because an answer asks for it: an honest responder asks once for a cookie,
	// for another epoch and for the echo of a challenge.
	repeatsMax = 3

	// lookUpEvery is after how many attempts without an answer the name of a
	// supernode is to be looked up again: about 30 s.
	lookUpEvery = 12
)

// Initiator makes the INITs to one responder and reads what answers them. It
// serves one handshake after the other, so that a cookie and the last stamp
// outlive each. Make it with NewInitiator.
type Initiator struct {
	party  *Party
	remote [32]byte // the responder's static key

	active   bool
	begun    time.Time // of the handshake
	sent     time.Time // of the last INIT, also of a handshake that is over
	retry    time.Time
	attempts int // timed, of this handshake
	repeats  int // since the last timed attempt
	stamp    uint64
	waiting  waiting
	former   waiting // the one to a supernode that was not answered before it was sent again
	asked    asked
}

// waiting is an INIT that waits for its answer: the last one. A supernode to which many come
// at once may answer an INIT after the next one was sent, so the answer to the former is
// taken as well. A peer has no such crowd.
type waiting struct {
	initiation *crypto.Initiation // nil: none
	index      uint32             // ours
	ki         uint8
	sent       time.Time
}

// asked is what the responder asked the next INIT to have.
type asked struct {
	cookie    [16]byte
	cookieAt  time.Time // zero: no cookie
	challenge [16]byte  // zeros: none
	avoid     []uint8   // key indices that it does not receive under
}

// NewInitiator returns the initiator of handshakes with the responder that has
// the static key remote.
func NewInitiator(p *Party, remote [32]byte) *Initiator {
	return &Initiator{party: p, remote: remote}
}

// Active reports whether a handshake is under way.
func (i *Initiator) Active() bool { return i.active }

// Remote returns the static key of the responder.
func (i *Initiator) Remote() [32]byte { return i.remote }

// Index returns our index of the INIT that waits for its answer, and false if
// none does. It changes with every INIT.
func (i *Initiator) Index() (uint32, bool) {
	return i.waiting.index, i.active && i.waiting.initiation != nil
}

// Attempts returns how many timed attempts the handshake has made, the first
// included. Repeats that an answer asked for are not attempts.
func (i *Initiator) Attempts() int { return i.attempts }

// Begun returns when the handshake began, and Sent when the last INIT was sent,
// which may have been in an earlier handshake. Zero: never.
func (i *Initiator) Begun() time.Time { return i.begun }

// Sent is described at Begun.
func (i *Initiator) Sent() time.Time { return i.sent }

// LookUpAgain reports whether the attempt just made is one in twelve, after which
// the name of a supernode should be looked up again: it may stand for another
// host by now.
func (i *Initiator) LookUpAgain() bool {
	return i.active && i.attempts > 0 && i.attempts%lookUpEvery == 0
}

// Deadline returns when Retry is to be called. Zero: no handshake is under way.
func (i *Initiator) Deadline() time.Time {
	if !i.active {
		return time.Time{}
	}
	if end := i.begun.Add(GiveUpAfter); !i.party.Hop && end.Before(i.retry) {
		return end
	}
	return i.retry
}

// Start begins a handshake, in the place of one that is under way, and returns
// the INIT: 192 bytes, to be masked and sent. It fails with ErrSelf, ErrNoEpoch or
// ErrBuild. After the last two the handshake is under way all the same, and
// Retry may have more luck.
func (i *Initiator) Start(now time.Time) ([]byte, error) {
	i.Stop()
	if i.remote == i.party.Identity.Static {
		return nil, ErrSelf
	}
	i.active, i.begun, i.attempts = true, now, 0
	return i.attempt(now)
}

// Retry makes a timed attempt: the next INIT, with a new index and a new
// ephemeral key. It fails as Start does, and with ErrGivenUp when the time of a
// pair handshake is over, which ends it.
func (i *Initiator) Retry(now time.Time) ([]byte, error) {
	switch {
	case !i.active:
		return nil, ErrIndex
	case !i.party.Hop && now.Sub(i.begun) >= GiveUpAfter:
		i.Stop()
		return nil, ErrGivenUp
	}
	return i.attempt(now)
}

// Stop ends the handshake without a result. The cookie and the last stamp stay.
func (i *Initiator) Stop() {
	i.active, i.waiting, i.former = false, waiting{}, waiting{}
	i.asked.challenge, i.asked.avoid = [16]byte{}, nil
	i.retry = time.Time{}
}

func (i *Initiator) attempt(now time.Time) ([]byte, error) {
	i.attempts++
	i.repeats = 0
	if i.party.Hop {
		i.former = i.waiting
	}
	return i.send(now)
}

// wait returns the time until the next timed attempt.
func (i *Initiator) wait() time.Duration {
	longest := longestPair
	if i.party.Hop {
		longest = longestHop
	}
	if w := firstWait << min(i.attempts-1, 10); w <= longest {
		return w
	}
	return longest + i.party.jitter(waitJitter)
}

// send makes an INIT with all that the responder asked for.
func (i *Initiator) send(now time.Time) ([]byte, error) {
	i.retry = now.Add(i.wait())
	ki, psk, err := i.epoch(now)
	if err != nil {
		return nil, err
	}
	p := i.party
	w := waiting{index: p.Index(), ki: ki, sent: now}
	payload := protocol.InitPayload{
		Stamp: i.nextStamp(now), Features: p.Features, VMin: protocol.Version, VMax: protocol.Version,
		MAC: p.MAC, MTU: p.MTU, Challenge: i.asked.challenge,
	}
	var plain [protocol.InitPayloadLen]byte
	payload.Put(&plain)
	initiation, pkt, err := crypto.Initiate(p.config(psk), i.remote, p.header(protocol.TypeInit, ki, w.index, protocol.Revision), plain, i.cookie(now))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBuild, err)
	}
	w.initiation = initiation
	i.waiting, i.sent = w, now
	return pkt, nil
}

// answered returns the INIT that a packet for an index answers, nil if none waits for it.
func (i *Initiator) answered(index uint32) *waiting {
	for _, w := range [...]*waiting{&i.waiting, &i.former} {
		if i.active && w.initiation != nil && w.index == index {
			return w
		}
	}
	return nil
}

// nextStamp returns the wall clock, or one more than the last stamp.
func (i *Initiator) nextStamp(now time.Time) uint64 {
	i.stamp = max(i.stamp+1, uint64(i.party.wall(now).UnixNano()))
	return i.stamp
}

// cookie returns the cookie for an INIT, or nil.
func (i *Initiator) cookie(now time.Time) *[16]byte {
	if i.asked.cookieAt.IsZero() || now.Sub(i.asked.cookieAt) >= cookieLife {
		return nil
	}
	return &i.asked.cookie
}

// epoch chooses the epoch of an INIT: the one that is sent under, unless the
// responder refused it, else the best that it did not refuse, else the first
// again.
func (i *Initiator) epoch(now time.Time) (ki uint8, psk [32]byte, err error) {
	if i.party.Hop {
		return protocol.KINone, psk, nil
	}
	epochs := i.party.Epochs
	ki, ok := epochs.Transmit(now)
	if !ok || i.avoids(ki) {
		for _, other := range epochs.Acceptable(now) {
			if !i.avoids(other) {
				ki, ok = other, true
				break
			}
		}
	}
	if ok {
		psk, ok = epochs.PSK(now, ki)
	}
	if !ok {
		return 0, psk, ErrNoEpoch
	}
	return ki, psk, nil
}

// avoids reports whether a NOTICE refused a key index.
func (i *Initiator) avoids(ki uint8) bool { return slices.Contains(i.asked.avoid, ki) }
