package crypto

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAuthorityFile writes an authority's file and reads it again, and refuses others.
func TestAuthorityFile(t *testing.T) {
	a := NewAuthority([32]byte{1, 2, 3})
	path := filepath.Join(t.TempDir(), "authority")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		os.Remove(path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	good := string(a.AppendText(nil))
	for _, text := range []string{good, "\ufeff" + strings.ReplaceAll(good, "\n", "\r\n")} {
		write(text, 0o600)
		if back, err := ReadAuthority(path); err != nil || !back.Public().Equal(a.Public()) {
			t.Errorf("%q reads as %v, %v", text, back, err)
		}
	}
	seed := strings.TrimSpace(strings.TrimPrefix(good, authorityHeader+"\nseed = "))
	for text, says := range map[string]string{
		"":                                       "no authority file",
		"hedgerow community 1\n":                 "no authority file",
		authorityHeader + "\n":                   "no authority file",
		authorityHeader + "\nseed = " + seed[1:]: "the seed is damaged",
	} {
		write(text, 0o600)
		if _, err := ReadAuthority(path); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), seed[8:]) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	write(good, 0o644)
	if _, err := ReadAuthority(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that all can read: %v", err)
	}
	if text := a.String() + a.GoString(); strings.Contains(text, seed) {
		t.Error("the seed is shown")
	}
}

// TestAuthoritySignatures: what an authority signs counts in its community, as what it was
// signed as, and nowhere else.
func TestAuthoritySignatures(t *testing.T) {
	a, c, value := NewAuthority([32]byte{1}), kGolden(), []byte("a value")
	c.Members, c.Authority = MembersList, a.Public()
	list, update := a.SignList(c.ID(), value), a.SignKeyUpdate(c.ID(), value)
	if c.VerifyList(value, list) != nil || c.VerifyKeyUpdate(value, update) != nil {
		t.Error("a good signature does not hold")
	}
	other, none := *c, *c
	other.Name, none.Authority = "another", nil
	stranger := *c
	stranger.Authority = NewAuthority([32]byte{2}).Public()
	for name, err := range map[string]error{
		"as another kind":        c.VerifyList(value, update),
		"as the other kind":      c.VerifyKeyUpdate(value, list),
		"of another value":       c.VerifyList([]byte("b value"), list),
		"in another community":   other.VerifyList(value, list),
		"without an authority":   none.VerifyList(value, list),
		"of another's authority": stranger.VerifyList(value, list),
	} {
		if err != ErrAuthority {
			t.Errorf("a signature %s: %v", name, err)
		}
	}
	// The layout of PROTOCOL.md, section 8.
	cid := c.ID()
	if !ed25519.Verify(a.Public(), bytes.Join([][]byte{[]byte("hedgerow/1 key update"), cid[:], value}, nil), update[:]) {
		t.Error("the signature of a KEYUPDATE covers something else")
	}
	if !ed25519.Verify(a.Public(), bytes.Join([][]byte{[]byte("hedgerow/1 list"), cid[:], value}, nil), list[:]) {
		t.Error("the signature of a list covers something else")
	}
}

// TestListedCommunityFile: members = list with an authority is written and read again.
func TestListedCommunityFile(t *testing.T) {
	c := kGolden()
	c.Members, c.Authority = MembersList, NewAuthority([32]byte{7}).Public()
	text, err := c.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseCommunity(text)
	if err != nil || back.Members != MembersList || !back.Authority.Equal(c.Authority) {
		t.Errorf("%s\nreads as %v, %v", text, back, err)
	}
}

// TestRolls: after a revocation the keys that whoever was revoked has are sent under no
// more, not those of later epochs either; GROUP packets under them end after the grace,
// handshakes do not.
func TestRolls(t *testing.T) {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	c := &Community{Name: "x", Secret: [32]byte{9}, Epochs: []Epoch{
		{Index: 0, Key: [32]byte{1}, Until: at.Add(time.Hour)}, {Index: 1, Key: [32]byte{2}, From: at.Add(time.Hour)},
	}}
	var rolls []Epoch
	for i := range 2 {
		roll, err := c.WithRolls(rolls).NextRoll([32]byte{byte(10 + i)}, at.Add(time.Duration(i)*10*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		rolls = append(rolls, roll)
	}
	// The first one has the index of an epoch that gives way to none: 2, then 3.
	if rolls[0].Index != 2 || rolls[1].Index != 3 {
		t.Fatalf("rolls have the indices %d and %d", rolls[0].Index, rolls[1].Index)
	}
	s := NewSchedule(c.WithRolls(rolls), time.Time{})
	for _, tt := range []struct {
		after time.Duration
		sends uint8
		group []uint8 // received
	}{
		{-time.Second, 0, []uint8{0, 2, 3}},
		{0, 2, []uint8{0, 2, 3}},
		{RollGrace - 1, 2, []uint8{0, 2, 3}},
		{RollGrace, 2, []uint8{2, 3}},
		{10 * time.Minute, 3, []uint8{2, 3}},
		{10*time.Minute + RollGrace, 3, []uint8{3}},
		{2 * time.Hour, 3, []uint8{3}}, // the community's own epoch 1 would have begun
	} {
		now := at.Add(tt.after)
		var group []uint8
		for ki := range uint8(5) {
			if e, ok := s.CanReceive(now, ki); ok && !s.Superseded(now, e) {
				group = append(group, ki)
			}
		}
		if e, ok := s.Transmit(now); !ok || e.Index != tt.sends || !bytes.Equal(group, tt.group) {
			t.Errorf("after %v it sends under %d and receives %v", tt.after, e.Index, group)
		}
		if next := s.Next(now); tt.after == 0 && !next.Equal(at.Add(RollGrace)) {
			t.Errorf("the next change is at %v", next)
		}
	}
	if _, ok := s.CanReceive(at.Add(30*time.Minute), 0); !ok {
		t.Error("who was away cannot be greeted under the key that it has")
	}
	full := &Community{Name: "x", Secret: [32]byte{9}, Epochs: []Epoch{{Index: MaxIndex, Key: [32]byte{1}}}}
	if _, err := full.NextRoll([32]byte{3}, at); err == nil {
		t.Error("an index was given twice")
	}
	clash := full.WithRolls([]Epoch{{Index: MaxIndex, Key: [32]byte{5}, From: at, Roll: true}})
	if len(clash.Epochs) != 1 || clash.Epochs[0].Key != [32]byte{5} {
		t.Errorf("of two epochs with one index there are %v", clash.Epochs)
	}
}
