package crypto

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGenerateCommunity(t *testing.T) {
	start := kTime("2026-01-01T00:00:00.75+01:00")
	c, err := GenerateCommunity("mynetwork", 12, 30*24*time.Hour, start, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Epochs) != 12 || c.Insecure || c.Fail || c.Skew != time.Hour || c.Members != MembersTOFU {
		t.Fatalf("%d epochs, %+v", len(c.Epochs), *c)
	}
	at := kTime("2025-12-31T23:00:00Z")
	keys := map[[32]byte]bool{c.Secret: true}
	for i, e := range c.Epochs {
		if int(e.Index) != i || !e.From.Equal(at) || !e.Until.Equal(at.Add(30*24*time.Hour)) || e.Transform != TransformAuto {
			t.Errorf("epoch %d: index %d, %v to %v, %s", i, e.Index, e.From, e.Until, e.Transform)
		}
		at = e.Until
		keys[e.Key] = true
	}
	if len(keys) != 13 {
		t.Errorf("%d different keys of 13", len(keys))
	}
	text, err := c.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseCommunity(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("through a file (-want +got):\n%s", diff)
	}
}

func TestGenerateCommunityLimits(t *testing.T) {
	start := kTime("2026-01-01T00:00:00Z")
	tests := []struct {
		what  string
		name  string
		n     int
		every time.Duration
		rand  io.Reader
		says  string
	}{
		{"one without end", "x", 1, 0, rand.Reader, ""},
		{"all indices", "x", 255, time.Second, rand.Reader, ""},
		{"none", "x", 0, time.Hour, rand.Reader, "0 epochs asked for"},
		{"too many", "x", 256, time.Hour, rand.Reader, "256 epochs asked for"},
		{"several without length", "x", 2, 0, rand.Reader, "need a length"},
		{"negative", "x", 2, -time.Hour, rand.Reader, "whole seconds"},
		{"fraction", "x", 2, time.Second + 1, rand.Reader, "whole seconds"},
		{"too far", "x", 255, 100 * 365 * 24 * time.Hour, rand.Reader, "in the year"},
		{"no name", "", 1, 0, rand.Reader, "no name"},
		{"little randomness", "x", 2, time.Hour, bytes.NewReader(kRange(1, 90)), "key of epoch 1"},
		{"no randomness", "x", 2, time.Hour, bytes.NewReader(nil), "community secret"},
		{"broken randomness", "x", 2, time.Hour, bytes.NewReader(make([]byte, 1000)), "missing or zero"},
	}
	for _, tt := range tests {
		c, err := GenerateCommunity(tt.name, tt.n, tt.every, start, tt.rand)
		if tt.says == "" && (err != nil || len(c.Epochs) != tt.n) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if tt.says != "" && (err == nil || c != nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v, want %q", tt.what, err, tt.says)
		}
	}
	_, err := GenerateCommunity("x", 1, 0, start, bytes.NewReader(kRange(1, 40)))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the reader's error is lost: %v", err)
	}
}

func TestCommunityNames(t *testing.T) {
	for _, name := range []string{"mynetwork", "a", "Ünïcode Netz", "=x", "# y", "a=b", "日本", strings.Repeat("x", 64)} {
		c := kGolden()
		c.Name = name
		text, err := c.AppendText(nil)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if again, err := ParseCommunity(text); err != nil || again.Name != name {
			t.Errorf("%q came back as %v, %v", name, again, err)
		}
	}
	for _, name := range []string{"", " a", "a ", "a\nb", "a\tb", "a\u00a0", "\u2028", "a\x7f", "\xff", "\u202e", strings.Repeat("x", 65)} {
		if _, err := InsecureCommunity(name); err == nil {
			t.Errorf("InsecureCommunity takes %q", name)
		}
		if _, err := FromPassphrase(name, "x"); err == nil {
			t.Errorf("FromPassphrase takes %q", name)
		}
	}
}
