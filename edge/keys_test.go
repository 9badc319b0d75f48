package edge

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// broken is a source of randomness that has none.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// ring is a keyring by itself, and what it said.
type ring struct {
	*keyring
	log    *bytes.Buffer
	events []control.Event
}

func newRing(c *crypto.Community) *ring {
	r := &ring{log: new(bytes.Buffer)}
	r.keyring = &keyring{
		community: c, schedule: crypto.NewSchedule(c, time.Time{}), salts: saltSource{rand: rand.NewChaCha8([32]byte{1})},
		plane: dataplane.New(dataplane.Config{Community: c, Started: noon}), draft: dataplane.NewDraft(),
		report: func(_ time.Time, ev control.Event) { r.events = append(r.events, ev) }, log: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	r.open()
	return r
}

// vouched returns what the keyring vouches for.
func (r *ring) vouched(t *testing.T) (list []protocol.Salt) {
	err := eachMessage(r.appendSalts(nil), func(_ protocol.MsgType, value []byte) error {
		return parsed(value, protocol.ParseSalt, func(m protocol.Salt) { list = append(list, m) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestDrawSalt checks when a new salt is used: at once when there is none or the
// old one must not be used, else after it was vouched for a while.
func TestDrawSalt(t *testing.T) {
	k := newRing(testCommunity())
	k.drawSalt(noon, false)
	first := k.group
	if first == nil || k.coming != nil || first.KI() != 7 || !k.wearing.At().Equal(noon.Add(saltLife)) || len(k.vouched(t)) != 1 || !k.vouching {
		t.Fatalf("first salt: %+v", k.keyring)
	}
	later := noon.Add(saltLife)
	k.vouching = false
	k.tick(later)
	if k.group != first || k.coming == nil || k.coming.Salt() == first.Salt() || !k.changing.At().Equal(later.Add(saltAhead)) || !k.vouching {
		t.Errorf("second salt: %+v", k.keyring)
	}
	if got := k.vouched(t); len(got) != 2 || got[0].Salt != first.Salt() || got[1].Salt != k.coming.Salt() {
		t.Errorf("vouches for %+v", got)
	}
	if got := k.deadline(); !got.Equal(later.Add(saltAhead)) {
		t.Errorf("deadline %v, want %v", got, later.Add(saltAhead))
	}
	second := k.coming
	k.tick(later.Add(saltAhead))
	if k.group != second || k.coming != nil || k.draft.Group() != second {
		t.Error("the second salt is not used")
	}
	k.drawSalt(later, true)
	if k.group == second || k.coming != nil || k.changing.IsSet() {
		t.Error("after a jump of the clock the old salt is in use")
	}
	if k.log.Len() != 0 {
		t.Errorf("said %s", k.log)
	}
	k.salts.rand = broken{}
	k.drawSalt(later, true)
	if !strings.Contains(k.log.String(), io.ErrUnexpectedEOF.Error()) {
		t.Errorf("without randomness: %s", k.log)
	}
}

// TestDrawSaltEnded checks that nothing is sent under a schedule that is over.
func TestDrawSaltEnded(t *testing.T) {
	c := testCommunity()
	c.Fail, c.Epochs[0].Until = true, noon
	k := newRing(c)
	k.drawSalt(noon.Add(-time.Second), false)
	if k.group == nil {
		t.Fatal(k.log)
	}
	k.drawSalt(noon, false)
	if k.group != nil || k.coming != nil || k.draft.Group() != nil || k.sendingIndex() != protocol.KINone {
		t.Errorf("still sending: %v", k.group != nil)
	}
	if got := k.vouched(t); len(got) != 0 || !strings.Contains(k.log.String(), ErrScheduleEnded.Error()) {
		t.Errorf("vouches for %v, said %s", got, k.log)
	}
}

// A salt that was used for too many packets is followed by another one.
func TestWornSalt(t *testing.T) {
	k := newRing(testCommunity())
	k.drawSalt(noon, false)
	k.checkWear(noon)
	if k.coming != nil {
		t.Fatal("a fresh salt is worn")
	}
	for !k.group.Worn(noon) {
		if _, err := k.group.Reserve(1 << 20); err != nil {
			t.Fatal(err)
		}
	}
	k.checkWear(noon)
	coming := k.coming
	if coming == nil {
		t.Fatal("it has no follower")
	}
	if k.checkWear(noon); k.coming != coming {
		t.Error("a second one follows")
	}
}

// The keyring moves on with the schedule: to the epoch that begins, by itself or
// because a packet came under it, and the user is warned before the last one ends.
func TestRoll(t *testing.T) {
	const day = 24 * time.Hour
	roll, end := noon.Add(time.Minute), noon.Add(5*day)
	c := &crypto.Community{Name: "tests", Fail: true, Epochs: []crypto.Epoch{
		{Index: 3, Key: [32]byte{3}, From: noon.Add(-day), Until: roll}, {Index: 4, Key: [32]byte{4}, From: roll, Until: end},
	}}
	k := newRing(c)
	k.roll(noon)
	if k.sendingIndex() != 3 || !k.draft.CanReceive(3) || len(k.events) != 1 || k.events[0].Kind != control.EventScheduleEnds {
		t.Fatalf("sends under %d, told %v", k.sendingIndex(), k.events)
	}
	if ki, ok := k.Transmit(noon); ki != 3 || !ok || !bytes.Contains(k.Acceptable(noon), []byte{3}) {
		t.Errorf("transmits under %d %v", ki, ok)
	}
	psk, ok := k.PSK(noon, 3)
	if again, _ := k.PSK(noon, 3); !ok || again != psk || psk != c.PairPSK(c.Epochs[0]) {
		t.Error("the psk of the epoch")
	}
	if _, ok := k.PSK(noon, 9); ok {
		t.Error("a psk of no epoch")
	}
	for at := k.deadline(); !at.IsZero() && !at.After(roll.Add(saltAhead)); at = k.deadline() {
		k.tick(at)
		if next := k.deadline(); !next.After(at) {
			t.Fatalf("looks again at %v at %v", next, at)
		}
	}
	if k.sendingIndex() != 4 || !strings.Contains(k.log.String(), "index=4") {
		t.Errorf("sends under %d, said %s", k.sendingIndex(), k.log)
	}

	k = newRing(c)
	k.roll(noon)
	k.learn(noon, 3)
	k.learn(noon, 200)
	if k.sendingIndex() != 3 || k.coming != nil {
		t.Error("moved for no reason")
	}
	k.learn(noon, 4) // the sender's clock is a little ahead
	if k.coming == nil || k.coming.KI() != 4 {
		t.Errorf("not moved to the newer epoch: %+v", k.coming)
	}
}

// A community that was read again replaces the keys, if it is the same one.
func TestReplaceKeys(t *testing.T) {
	k := newRing(testCommunity())
	k.roll(noon)
	psk, _ := k.PSK(noon, 7)
	other := testCommunity()
	other.Secret = [32]byte{99}
	if err := k.replace(noon, other); err == nil || !strings.Contains(err.Error(), "stop this edge") || k.community == other {
		t.Errorf("another community: %v", err)
	}
	if err := k.replace(noon, listedCommunity()); err == nil || !strings.Contains(err.Error(), "another authority") {
		t.Errorf("another authority: %v", err)
	}
	fresh := testCommunity()
	fresh.Epochs[0].Key, fresh.Members = [32]byte{44}, crypto.MembersList
	fresh.Epochs = append(fresh.Epochs, crypto.Epoch{Index: 8, Key: [32]byte{8}, From: noon.Add(-time.Hour)})
	if err := k.replace(noon, fresh); err != nil {
		t.Fatal(err)
	}
	if got, ok := k.PSK(noon, 7); ok && got == psk {
		t.Error("the psk of the old key is used")
	}
	if !k.listed() || !k.draft.List() || !k.draft.CanReceive(8) {
		t.Error("the queues do not know of the new keys")
	}
}

// TestGroupTransform follows the epoch's word, and the CPU where it leaves it
// open.
func TestGroupTransform(t *testing.T) {
	auto := protocol.XFGroupChaCha
	if crypto.HardwareAES() {
		auto = protocol.XFGroupGCM
	}
	k := newRing(testCommunity())
	for word, want := range map[string]protocol.Transform{
		"": auto, crypto.TransformAuto: auto, crypto.TransformAES: protocol.XFGroupGCM, crypto.TransformChaCha: protocol.XFGroupChaCha,
	} {
		if got := k.groupTransform(crypto.Epoch{Transform: word}); got != uint8(want) {
			t.Errorf("%q: %#x, want %#x", word, got, want)
		}
	}
	k.community.Insecure = true
	if got := k.groupTransform(crypto.Epoch{Transform: crypto.TransformAES}); got != uint8(protocol.XFNull) {
		t.Errorf("insecure: %#x", got)
	}
}

// keySource is a crypto.KeySource of communities that a test hands in.
type keySource struct {
	changed chan struct{}
	next    *crypto.Community
	err     error
}

func (s *keySource) Load(ctx context.Context) (*crypto.Community, error) { return s.next, s.err }
func (s *keySource) Changed(ctx context.Context) error {
	select {
	case <-s.changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// When the source of the keys says that they have changed, they are read, taken
// over and reported; an error is reported and leaves the old ones.
func TestWatchKeys(t *testing.T) {
	source := &keySource{changed: make(chan struct{}), next: testCommunity()}
	source.next.Epochs[0].Key = [32]byte{44}
	e := newEdge(t, func(c *Config) { c.Keys = source })
	source.changed <- struct{}{}
	e.await(noon)
	if told := e.told(control.EventReloaded); e.keys.community != source.next || len(told) != 1 || told[0].Err != nil {
		t.Errorf("told %v", told)
	}
	good := source.next
	source.next, source.err = nil, io.ErrUnexpectedEOF
	source.changed <- struct{}{}
	e.await(noon)
	if told := e.told(control.EventReloaded); e.keys.community != good || len(told) != 2 || told[1].Err != io.ErrUnexpectedEOF {
		t.Errorf("told %v", told)
	}
}
