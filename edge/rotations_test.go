package edge

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// rotationOf returns what the supernode with one key says of another, with the proof that by
// can make.
func (v *testServer) rotationOf(serial uint64, from, to [32]byte, by *crypto.Identity) *protocol.Rotate {
	v.tb.Helper()
	said, edge := crypto.Rotation{Old: from, New: to, Serial: serial}, v.self.identity.Static
	proof, err := said.Prove(by, edge, edge)
	if err != nil {
		v.tb.Fatal(err)
	}
	return &protocol.Rotate{Serial: serial, Key: to, Proof: proof}
}

// becomes has the supernode answer by another key from now on.
func (v *testServer) becomes(id *crypto.Identity) {
	v.responder = handshake.NewResponder(handshake.ResponderConfig{Party: &handshake.Party{
		Hop: true, Identity: id, Index: func() uint32 { v.index++; return v.index },
	}})
}

// answerNext answers the INIT that the edge has sent by the next key.
func (v *testServer) answerNext(now time.Time) {
	v.tb.Helper()
	for _, d := range v.sentNow() {
		if len(d.pkt) != protocol.InitLen || d.to != atServer || !v.s.initMask().Show(v.scratch, d.pkt) {
			continue
		}
		opening, _, err := v.responder.Read(now, d.pkt, handshake.Source{Cookie: []byte{1}, Rate: d.to.Addr()})
		if err != nil {
			v.tb.Fatal(err)
		}
		resp, done, err := v.responder.Answer(now, opening, nil)
		if err != nil {
			v.tb.Fatal(err)
		}
		if v.session, err = crypto.NewHopSession(done.SessionConfig(now)); err != nil {
			v.tb.Fatal(err)
		}
		v.handle(now, dataplane.HandshakeAnswer{Origin: v.origin(), Packet: resp})
		return
	}
	v.tb.Fatal("no INIT by the next key")
}

// TestRotationsRefused: only who has both keys can tell an edge that one takes the place of
// the other, in the session by the first, and with a proof that the second makes for this
// edge. Whoever has one of them changes nothing, and is not answered.
func TestRotationsRefused(t *testing.T) {
	v := registered(t, nil)
	old, next, stranger := testIdentity(200), testIdentity(201), testIdentity(202)
	other := v.rotationOf(9, *v.s.key, next.Static, next)
	other.Serial++ // that is not what was proven
	refused := map[string]*protocol.Rotate{
		"who has the old key alone":              v.rotationOf(9, *v.s.key, next.Static, old),
		"a stranger":                             v.rotationOf(9, *v.s.key, next.Static, stranger),
		"who has the new key, for another edge":  {Serial: 9, Key: next.Static, Proof: v.rotationOf(9, old.Static, stranger.Static, stranger).Proof},
		"who has the new key, of another former": v.rotationOf(9, stranger.Static, next.Static, next),
		"who changes the serial":                 other,
		"who names the key that it has":          v.rotationOf(9, old.Static, old.Static, old),
		"who names no key":                       {Serial: 9, Key: [32]byte{1}},
	}
	now := noon
	for who, m := range refused {
		now = now.Add(rotatePause)
		before := v.drops()["rotate"]
		v.hears()
		v.say(now, m.Append(nil))
		if v.s.init.rotation.next != nil || *v.s.key != old.Static || v.drops()["rotate"] != before+1 {
			t.Errorf("%s is believed", who)
		}
		if slices.Contains(types(v.hears()), protocol.MsgRotate) {
			t.Errorf("%s is answered", who)
		}
	}
	before := v.drops()["rotate"]
	v.say(now.Add(rotatePause-1), v.rotationOf(9, old.Static, next.Static, next).Append(nil))
	if v.s.init.rotation.next != nil || v.drops()["rotate"] != before+1 {
		t.Error("two are looked at within a second")
	}
}

// TestRotation: an edge makes its next session by the key that takes the place of the one that
// was typed, registers there, and keeps it: over a restart, and until another one is typed. What
// comes in the old session meanwhile is read, but another rotation in that is not believed,
// nor is one with a serial of before.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	v := registered(t, inDir(dir))
	old, next, third := testIdentity(200), testIdentity(201), testIdentity(202)
	first := v.session
	v.say(noon, v.rotationOf(9, old.Static, next.Static, next).Append(nil))
	if *v.s.key != old.Static || v.source().Mask != v.s.mask || v.source().Second != v.s.initMask() || v.s.initMask() == v.s.mask {
		t.Fatalf("the next key is not tried beside the one that is known: %+v", v.source())
	}
	v.becomes(next)
	now := noon.Add(time.Second)
	v.answerNext(now)
	if *v.s.key != next.Static || v.source().Mask != v.s.mask || v.source().Second == nil || v.s.hop.route.Session == v.s.hop.session.Crypto() {
		t.Fatalf("it has not gone over, or did so before it is registered: %+v", v.source())
	}
	if got := types(v.hears()); !slices.Contains(got, protocol.MsgRegister) {
		t.Fatalf("by the new key it says %v", got)
	}
	m := ack(3)
	v.say(now, m.Append(nil))
	if v.s.hop.route.Session != v.s.hop.session.Crypto() || v.s.hop.route.Mask != v.s.mask {
		t.Error("frames go by the old session")
	}
	second := v.session
	v.session = first
	before := v.drops()["rotate"]
	v.say(now.Add(time.Second), v.rotationOf(10, next.Static, third.Static, third).Append(nil))
	v.session = second
	v.say(now.Add(2*time.Second), v.rotationOf(8, next.Static, third.Static, third).Append(nil))
	if v.s.init.rotation.next != nil || *v.s.key != next.Static || v.drops()["rotate"] != before+1 {
		t.Error("a rotation in the old session, or of before, is believed")
	}
	if text := strings.Join(v.servers.list.notes(false, false, v.underlay.Addresses.Policy()), "\n"); !strings.Contains(text, "#"+keyText(next.Static)) {
		t.Errorf("status says %q", text)
	}
	v.keepState(now.Add(storeEvery))
	v.background.workers.Wait()
	kept := lookState(t, dir)
	name := v.s.cfg.Name
	for what, typed := range map[string][2][32]byte{
		"the one before is typed": {old.Static, next.Static}, "the new one is typed": {next.Static, next.Static}, "a third one is typed": {third.Static, third.Static},
	} {
		if key, _ := kept.knownKey(name, &typed[0]); key == nil || *key != typed[1] {
			t.Errorf("%s: known by %x", what, key)
		}
	}
	if key, _ := kept.knownKey("another", &old.Static); *key != old.Static {
		t.Error("another supernode has it as well")
	}
}

// TestRotationsRest: a supernode that says one key after the other has one count in a minute.
func TestRotationsRest(t *testing.T) {
	v := registered(t, nil)
	old, next, third := testIdentity(200), testIdentity(201), testIdentity(202)
	v.say(noon, v.rotationOf(9, old.Static, next.Static, next).Append(nil))
	v.becomes(next)
	now := noon.Add(time.Second)
	v.answerNext(now)
	m := ack(3)
	v.say(now, m.Append(nil))
	said := v.rotationOf(10, next.Static, third.Static, third).Append(nil)
	v.say(now.Add(rotateRest-1), said)
	if v.s.init.rotation.next != nil {
		t.Error("two count within a minute")
	}
	v.say(now.Add(rotateRest), said)
	if v.s.init.rotation.next == nil {
		t.Error("the next one does not count after it")
	}
}

// source returns what the queues know of the supernode's address.
func (v *testServer) source() *dataplane.Source {
	s := dataplane.Source{Mask: v.s.mask, Second: v.s.secondMask()}
	return &s
}

// lookState reads the state file.
func lookState(t *testing.T, dir string) *state {
	t.Helper()
	s, err := loadState(dir, noon, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRotationWithoutAnswer: where nobody answers by the new key the edge stays with the one
// that it knows, in the session that it has, and tries again when it is told again.
func TestRotationWithoutAnswer(t *testing.T) {
	v := registered(t, nil)
	old, next := testIdentity(200), testIdentity(201)
	session := v.s.hop.session
	v.say(noon, v.rotationOf(9, old.Static, next.Static, next).Append(nil))
	now := noon
	for v.s.init.rotation.next != nil && now.Before(noon.Add(time.Minute)) {
		now = v.s.init.initiator.Deadline()
		v.sentNow()
		v.servers.connector.retryInit(now, v.s)
	}
	if v.s.init.rotation.next != nil || *v.s.key != old.Static || v.s.hop.session != session || !v.s.registered() || v.source().Second != nil {
		t.Fatalf("after %v it has not stayed", now.Sub(noon))
	}
	v.answer(now) // a session by the key that it knows
	m := ack(3)
	v.say(now, m.Append(nil))
	v.say(now, v.rotationOf(9, old.Static, next.Static, next).Append(nil))
	if v.s.init.rotation.next == nil {
		t.Error("told again it does not try again")
	}
}

// TestRotationsKept: the keys of a supernode are few, and the first of them, which may be typed,
// leads to the last one, however many there were.
func TestRotationsKept(t *testing.T) {
	var s state
	key := func(n int) [32]byte { return testIdentity(byte(n)).Static }
	for n := range 20 {
		s.keepRotation("vps", key(n), key(n+1), uint64(n+1))
	}
	first := key(0)
	if got, serial := s.knownKey("vps", &first); *got != key(20) || serial != 20 || len(s.saved.Rotations["vps"].Keys) != storedKeys {
		t.Errorf("%d keys lead to %x, serial %d", len(s.saved.Rotations["vps"].Keys), *got, serial)
	}
	for n := range 3 * storedAddresses {
		s.keepRotation(strings.Repeat("a", n+1), key(0), key(1), 1)
	}
	if n := len(s.saved.Rotations); n > storedAddresses {
		t.Errorf("those of %d supernodes are kept", n)
	}
	text := control.Rotated("vps:7654", first, true)
	if !strings.Contains(text, "-l vps:7654#"+keyText(first)) || bytes.Contains([]byte(control.Rotated("vps:7654", first, false)), []byte("-l ")) {
		t.Errorf("it says %q", text)
	}
}

// welcome has the supernode at its address show a key, in answer to the HELLO that waits or to
// one that is put there.
func (e *testEdge) welcome(now time.Time, key [32]byte) {
	s := e.servers.list[0]
	s.hello.active, s.hello.sent = true, now
	e.handle(now, dataplane.HandshakeAnswer{
		Origin: dataplane.Origin{Addr: s.addr(), Supernode: s.view}, Packet: protocol.AppendWelcome(nil, s.hello.nonce, key, [32]byte{1}),
	})
}

// TestShowsAnotherKey: where the key that was typed is not the supernode's any more, as that
// of an edge that was away until the rotation had ended, the user is told once, and what to
// type, and not that UDP is blocked. A supernode with two keys shows its newer one: an edge
// whose first INIT was lost is told nothing, since the second one is answered.
func TestShowsAnotherKey(t *testing.T) {
	other := testIdentity(201).Static
	e := newEdge(t, nil)
	s, now := e.servers.list[0], noon
	for ; s.init.initiator.Attempts() < 2; now = now.Add(time.Second) {
		e.pass(now)
	}
	e.welcome(now, other)
	if told := e.told(control.EventKeyChanged); len(told) != 0 {
		t.Errorf("before there was time for an answer it says %v", told)
	}
	for range 60 {
		now = now.Add(time.Second)
		e.pass(now)
		if s.hello.active {
			e.welcome(now, other)
		}
	}
	told := e.told(control.EventKeyChanged)
	if len(told) != 1 || !strings.Contains(told[0].Text, "type -l "+s.cfg.Name+"#"+keyText(other)) || *s.key == other {
		t.Errorf("told %v", told)
	}
	if told := e.told(control.EventNoAnswer); len(told) != 0 {
		t.Errorf("told %v as well", told)
	}
	if text := strings.Join(e.servers.list.notes(false, false, e.underlay.Addresses.Policy()), "\n"); !strings.Contains(text, "#"+keyText(other)) {
		t.Errorf("status says %q", text)
	}
}

// TestShowsFormerKey: a supernode that has been restored from a backup of before shows the
// key whose place another has taken. To type that would change nothing, so the user is told
// what does.
func TestShowsFormerKey(t *testing.T) {
	v := registered(t, nil)
	old, next := testIdentity(200).Static, testIdentity(201).Static
	v.state.keepRotation(v.s.cfg.Name, old, next, 9)
	v.s.pin(next)
	v.servers.connector.pinned(v.s)
	v.welcome(noon, old)
	told := v.told(control.EventKeyChanged)
	if len(told) != 1 || !strings.Contains(told[0].Text, "supernode rotate-key") || strings.Contains(told[0].Text, "-l "+v.s.cfg.Name+"#"+keyText(old)) {
		t.Errorf("told %v", told)
	}
}

// TestRotationsOfTwoPlaces: a supernode that is moving says at both of its places that it has
// another key, and what was typed before an earlier rotation still leads to that.
func TestRotationsOfTwoPlaces(t *testing.T) {
	var s state
	key := func(n int) [32]byte { return testIdentity(byte(n)).Static }
	for _, to := range []int{1, 2, 2} {
		s.keepRotation("vps", key(to-1), key(to), uint64(to))
	}
	first := key(0)
	if got, serial := s.knownKey("vps", &first); *got != key(2) || serial != 2 {
		t.Errorf("what was typed leads to %x, serial %d", *got, serial)
	}
}

// TestHandOverAfterRotation: an edge that keeps nothing on the disk hands over that another key
// has taken the place of the one that was typed.
func TestHandOverAfterRotation(t *testing.T) {
	v := registered(t, nil)
	old, next := testIdentity(200), testIdentity(201)
	v.say(noon, v.rotationOf(9, old.Static, next.Static, next).Append(nil))
	v.becomes(next)
	v.answerNext(noon)
	m := ack(3)
	v.say(noon, m.Append(nil))
	heir, err := v.successor(stateOf(v.Edge, noon), noon)
	if err != nil {
		t.Fatal(err)
	}
	if s := heir.servers.list[0]; *s.key != next.Static || s.init.rotation.serial != 9 || s.hop.session == nil {
		t.Errorf("key %x, serial %d, session %v", *s.key, s.init.rotation.serial, s.hop.session)
	}
}
