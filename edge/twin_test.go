package edge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/protocol"
)

// ownStatement returns a statement of the edge's own identity, as a copy of it would sign
// at another start.
func (e *testEdge) ownStatement(seq uint64) []byte {
	_, raw := e.sign(e.cfg.Identity, e.self.mac, seq)
	return raw
}

// TestIdentityTwice tells the user once in ten minutes, and status as long, that another
// machine uses our identity, whoever notices it.
func TestIdentityTwice(t *testing.T) {
	for name, c := range map[string]struct {
		notice func(v *testServer, now time.Time)
		by     string // empty: it is no proof
	}{
		"the supernode says so": {func(v *testServer, now time.Time) {
			m := protocol.Nak{Code: protocol.CodeIdentityTwice}
			v.say(now, m.Append(nil))
		}, "sn:7654"},
		"our statement is old": {func(v *testServer, now time.Time) {
			v.s.grant.pending = true
			m := protocol.Nak{Code: protocol.CodeOldStatement}
			v.say(now, m.Append(nil))
		}, "sn:7654"},
		"a later statement of ours": {func(v *testServer, now time.Time) {
			m := protocol.PeerInfo{CID: v.self.cid, MAC: v.self.mac, Handle: 9, Statement: v.ownStatement(v.self.seq + 1)}
			v.say(now, m.Append(nil))
		}, "sn:7654"},
		"a later statement on the LAN": {func(v *testServer, now time.Time) {
			(*networkObserver)(v.Edge).MetOnLAN(now, v.ownStatement(v.self.seq+1), elsewhere)
		}, "192.0.2.66"},
		"our own statement": {func(v *testServer, now time.Time) {
			(*networkObserver)(v.Edge).MetOnLAN(now, v.self.statement, elsewhere)
		}, ""},
		"an earlier one, which anybody may have kept": {func(v *testServer, now time.Time) {
			m := protocol.PeerInfo{CID: v.self.cid, MAC: v.self.mac, Handle: 9, Statement: v.ownStatement(v.self.seq - 1)}
			v.say(now, m.Append(nil))
		}, ""},
		"somebody else's with our static key": {func(v *testServer, now time.Time) {
			id := testIdentity(7)
			st := crypto.Statement{CID: v.self.cid, MAC: [6]byte(id.MAC(v.self.cid)), Seq: v.self.seq + 1}
			raw := id.SignStatement(st)
			copy(raw[32:], v.self.identity.Static[:]) // which breaks the signature
			m := protocol.PeerInfo{CID: v.self.cid, MAC: id.MAC(v.self.cid), Handle: 9, Statement: raw}
			v.say(now, m.Append(nil))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := registered(t, nil)
			for range 3 {
				c.notice(v, noon)
			}
			told, notes := v.told(control.EventIdentityTwice), v.status(noon).Notes
			if c.by == "" {
				if len(told) != 0 || len(notes) != 0 {
					t.Errorf("told %v, noted %q", told, notes)
				}
				return
			}
			if len(told) != 1 || told[0].Text != c.by || len(notes) != 1 || !strings.Contains(notes[0], c.by) || !strings.Contains(notes[0], "edge identity new -c tests") {
				t.Errorf("told %v, noted %q", told, notes)
			}
			if n := len(v.told(control.EventRefused)); n != 0 {
				t.Errorf("told %d times of a refusal beside it", n)
			}
			if n := v.status(noon.Add(twinShown)).Notes; len(n) != 0 {
				t.Errorf("noted after ten minutes: %q", n)
			}
			c.notice(v, noon.Add(twinShown))
			if n := len(v.told(control.EventIdentityTwice)); n != 2 {
				t.Errorf("told %d times in ten minutes", n)
			}
		})
	}
}

// TestTwinSteersNothing has a supernode talk of another machine without an end: one
// handshake a minute comes of it, and the registration and its peers stay.
func TestTwinSteersNothing(t *testing.T) {
	v := registered(t, nil)
	p := v.neighbour(2)
	route, inits := p.view.Route(), 0
	v.sentNow()
	for n := range 1200 {
		now := noon.Add(time.Duration(n) * 100 * time.Millisecond)
		m := protocol.Nak{Code: protocol.CodeIdentityTwice}
		v.say(now, m.Append(nil))
		if sent := v.sentNow(); slices.ContainsFunc(sent, func(d sentDatagram) bool { return len(d.pkt) == protocol.InitLen }) {
			inits++
			v.conn.sent = sent
			v.answer(now)
			granted := ack(3)
			v.say(now, granted.Append(nil))
			v.sentNow()
		}
	}
	if inits != 2 || !v.s.registered() || p.view.Route() != route || len(v.told(control.EventIdentityTwice)) != 1 {
		t.Errorf("%d handshakes in two minutes, registered %v, told %d times", inits, v.s.registered(), len(v.told(control.EventIdentityTwice)))
	}
}

// TestWrongClockAtStart signs a new statement when the one of the start is refused as old
// and the clock was wrong then; with a right clock it never outbids another machine.
func TestWrongClockAtStart(t *testing.T) {
	v := registered(t, nil)
	refused := func(now time.Time) uint64 {
		v.s.grant.pending = true
		m := protocol.Nak{Code: protocol.CodeOldStatement}
		v.say(now, m.Append(nil))
		return v.self.seq
	}
	first := v.self.seq
	if seq := refused(noon.Add(time.Hour)); seq != first || len(v.told(control.EventIdentityTwice)) != 1 {
		t.Errorf("with a right clock the number went from %d to %d", first, seq)
	}
	// The clock of the start was that of 1970, and the state was lost.
	v = registered(t, nil)
	v.state.saved.Seq = 0
	v.self.sign(time.UnixMilli(5000), v.state.nextSeq(time.UnixMilli(5000)))
	v.keys.countFrom(v.self.seq)
	salt := v.keys.group.Vouch()
	if seq := refused(noon); seq != uint64(noon.UnixMilli()) || len(v.told(control.EventIdentityTwice)) != 0 || v.state.saved.Seq != seq {
		t.Errorf("the number is %d", seq)
	}
	if now := v.keys.group.Vouch(); now.Salt == salt.Salt || now.Serial <= v.self.seq<<serialBits {
		t.Errorf("salt %x with serial %d: those of the run before are newer", now.Salt, now.Serial)
	}
	st, err := crypto.VerifyStatement(v.self.statement)
	if err != nil || st.Seq != v.self.seq || !v.s.grant.retry.At().Equal(noon.Add(registerRetry)) {
		t.Errorf("%+v %v, registers again at %v", st, err, v.s.grant.retry.At())
	}
	if seq := refused(noon.Add(time.Minute)); seq != v.self.seq || seq != uint64(noon.UnixMilli()) || len(v.told(control.EventIdentityTwice)) != 1 {
		t.Errorf("it is signed once more: %d", seq)
	}
}

// TestStateOfAnother holds what a new identity keeps of the state of the one before: what
// it knows of others, and not the address.
func TestStateOfAnother(t *testing.T) {
	dir := t.TempDir()
	first := newEdge(t, inDir(dir))
	first.state.keepLease(first.cfg.Address.Prefix)
	first.state.saved.Lease = "10.64.0.7/24"
	first.state.pinSupernode("sn:7654", [32]byte{5})
	first.state.keepNow()
	if again := newEdge(t, inDir(dir)); again.servers.addresses.wanted(new(supernode)).String() != "10.64.0.7/24" {
		t.Errorf("the same identity wants %v", again.servers.addresses.wanted(new(supernode)))
	}
	other := newEdge(t, func(c *Config) { c.StateDir, c.Identity = dir, testIdentity(9) })
	if other.servers.addresses.wanted(new(supernode)).IsValid() || *other.state.supernodeKey("sn:7654") != [32]byte{5} {
		t.Errorf("another identity wants %v", other.servers.addresses.wanted(new(supernode)))
	}
}
