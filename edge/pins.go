package edge

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// The life of a pin after its identity was last seen. It grows with the time for which
// the identity has been here, so that somebody who comes once with a thousand addresses
// holds none of them tomorrow, and a member of many days has its address when it is back
// from a holiday.
const (
	pinLeast  = time.Hour
	pinMost   = 90 * 24 * time.Hour
	pinGrowth = 8                // times the time from the first to the last sight
	pinFresh  = 10 * time.Minute // a pin is renewed at most so often: each time is a write of the state
)

// pinUndated is the First of a pin that was made while the clock was wrong, beside a Last
// of 0: its life begins when the clock is right.
const pinUndated = -1

// pins says whose a hardware address is (docs/DESIGN.md, "Decisions of our own").
type pins struct {
	state     *state
	cid       [16]byte
	admission *admission
}

// pin says that a hardware address is an identity's.
type pin struct {
	ID    string `json:"id"`    // as pinText writes it
	First int64  `json:"first"` // when a session with it began first, in unix seconds
	Last  int64  `json:"last"`  // and last
}

// UnmarshalJSON also reads what was written before pins had an end: an identity alone.
// The zero times let it end as if it had been seen at the time of reading (aged).
func (p *pin) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*p = pin{}
		return json.Unmarshal(b, &p.ID)
	}
	type plain pin
	return json.Unmarshal(b, (*plain)(p))
}

// ends returns when a pin ends, in unix seconds.
func (p pin) ends() int64 {
	life := min(max(pinGrowth*(p.Last-p.First), int64(pinLeast/time.Second)), int64(pinMost/time.Second))
	return p.Last + life
}

// aged gives pins of before pins had an end the longest life from now on, those that were
// made while the clock was wrong their life from now on, and removes those that have ended.
// It does nothing while the clock is wrong, when wall is zero.
func (p pins) aged(wall time.Time) {
	if wall.IsZero() {
		return
	}
	p.state.aged = wall
	now := wall.Unix()
	for mac, have := range p.state.saved.Pins {
		if have.First == pinUndated {
			p.put(mac, pin{ID: have.ID, First: now, Last: now})
		} else if have.Last == 0 {
			p.put(mac, pin{ID: have.ID, First: now - int64(pinMost/time.Second)/pinGrowth, Last: now})
		} else if have.ends() < now {
			delete(p.state.saved.Pins, mac)
			p.state.dirty = true
		}
	}
}

// put writes a pin.
func (p pins) put(mac string, have pin) { p.state.saved.Pins[mac], p.state.dirty = have, true }

// allow reports whether an identity may have a hardware address. An address
// that is derived from an identity is that identity's for good. Any other belongs to
// the first identity that made a session with it, unless the community is open.
func (p pins) allow(mac protocol.MAC, id [32]byte, c *crypto.Community) bool {
	if p.admission.refuses(id) {
		return false
	}
	if p.derived(mac, id) || c.Members == crypto.MembersOpen {
		return true
	}
	have, ok := p.state.saved.Pins[mac.String()]
	return !ok || have.ID == pinText(id)
}

// keep pins a hardware address to an identity that allow lets have it and that
// proved in a session to be a member's. The owner of a derived address takes it back
// from whoever it was pinned to; it needs no pin of its own. While the clock is wrong, when
// wall is zero, nothing is learned of the time: a router without a clock must not forget at
// each start who was here for months.
func (p pins) keep(wall time.Time, mac protocol.MAC, id [32]byte, c *crypto.Community) {
	key, now, fresh := mac.String(), wall.Unix(), pin{ID: pinText(id), First: wall.Unix(), Last: wall.Unix()}
	if wall.IsZero() {
		fresh.First, fresh.Last = pinUndated, 0
	}
	have, pinned := p.state.saved.Pins[key]
	switch {
	case p.derived(mac, id):
		if pinned && have.ID != pinText(id) {
			p.put(key, fresh)
		}
	case c.Members == crypto.MembersOpen:
	case !pinned:
		p.makeRoom(wall)
		p.put(key, fresh)
	case wall.IsZero() || have.First == pinUndated: // until the clock is right, and aged has looked
	case have.ID == pinText(id) && (now-have.Last >= int64(pinFresh/time.Second) || now < have.Last):
		have.First, have.Last = min(have.First, now), now
		p.put(key, have)
	}
}

// makeRoom removes the pin that ends first if there is no room for one more. Those that
// newcomers have go before those of members that have been here for long.
func (p pins) makeRoom(wall time.Time) {
	if len(p.state.saved.Pins) < maxPins {
		return
	}
	p.aged(wall)
	if len(p.state.saved.Pins) < maxPins {
		return
	}
	first := ""
	for mac, have := range p.state.saved.Pins {
		if first == "" || have.ends() < p.state.saved.Pins[first].ends() {
			first = mac
		}
	}
	delete(p.state.saved.Pins, first)
}

func pinText(id [32]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// derived reports whether a hardware address is the one that follows from an
// identity.
func (p pins) derived(mac protocol.MAC, id [32]byte) bool {
	return mac == protocol.MAC(crypto.MACFor(id[:], p.cid))
}
