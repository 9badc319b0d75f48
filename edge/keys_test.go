package edge

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// TestEarliest treats zero as never.
func TestEarliest(t *testing.T) {
	var never time.Time
	later := noon.Add(1)
	for _, c := range []struct{ a, b, want time.Time }{
		{never, never, never}, {noon, never, noon}, {never, noon, noon}, {noon, later, noon}, {later, noon, noon}, {noon, noon, noon},
	} {
		if got := earliest(c.a, c.b); !got.Equal(c.want) {
			t.Errorf("earliest(%v, %v) = %v", c.a, c.b, got)
		}
	}
}

// TestDue includes the moment itself.
func TestDue(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want bool
	}{{time.Time{}, false}, {noon.Add(1), false}, {noon, true}, {noon.Add(-1), true}} {
		if got := due(noon, c.at); got != c.want {
			t.Errorf("due(%v) = %v", c.at, got)
		}
	}
}

// broken is a source of randomness that has none.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestRenewGroup checks when a new salt is used: at once when there is none or
// the old one must not be used, else after it was vouched for a while.
func TestRenewGroup(t *testing.T) {
	k := newKeyring(testCommunity(), time.Time{}, rand.NewChaCha8([32]byte{1}))
	if err := k.renewGroup(noon, noon, false); err != nil {
		t.Fatal(err)
	}
	first := k.group
	if first == nil || k.coming != nil || first.KI() != 7 || !k.wornAt.Equal(noon.Add(saltLife)) || len(k.salts()) != 1 {
		t.Fatalf("first salt: %+v", k)
	}
	later := noon.Add(saltLife)
	if err := k.renewGroup(later, later, false); err != nil {
		t.Fatal(err)
	}
	if k.group != first || k.coming == nil || k.coming.Salt() == first.Salt() || !k.switchAt.Equal(later.Add(saltAhead)) {
		t.Errorf("second salt: %+v", k)
	}
	if got := k.salts(); len(got) != 2 || got[0].Salt != first.Salt() || got[1].Salt != k.coming.Salt() {
		t.Errorf("vouches for %+v", got)
	}
	if got := k.deadline(); !got.Equal(k.switchAt) {
		t.Errorf("deadline %v, want %v", got, k.switchAt)
	}
	if err := k.renewGroup(later, later, true); err != nil || k.group == first || k.coming != nil {
		t.Errorf("after a jump of the clock the old salt is in use: %v", err)
	}
	k.rand = broken{}
	if err := k.renewGroup(later, later, true); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without randomness: %v", err)
	}
}

// TestRenewGroupEnded checks that nothing is sent under a schedule that is over.
func TestRenewGroupEnded(t *testing.T) {
	c := testCommunity()
	c.Fail, c.Epochs[0].Until = true, noon
	k := newKeyring(c, time.Time{}, rand.NewChaCha8([32]byte{1}))
	before := noon.Add(-time.Second)
	if err := k.renewGroup(before, before, false); err != nil {
		t.Fatal(err)
	}
	if err := k.renewGroup(noon, noon, false); !errors.Is(err, ErrScheduleEnded) || k.group != nil || k.coming != nil {
		t.Errorf("%v, still sending: %v", err, k.group != nil)
	}
	if got := k.salts(); len(got) != 0 {
		t.Errorf("vouches for %v", got)
	}
}

// TestGroupTransform follows the epoch's word, and the CPU where it leaves it
// open.
func TestGroupTransform(t *testing.T) {
	auto := protocol.XFGroupChaCha
	if crypto.HardwareAES() {
		auto = protocol.XFGroupGCM
	}
	k := newKeyring(testCommunity(), time.Time{}, nil)
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
