package integration

import (
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// schedule returns the epochs 0, 1, ... that follow each other at these times.
func schedule(rolls ...time.Time) (epochs []crypto.Epoch) {
	for i := range len(rolls) + 1 {
		e := crypto.Epoch{Index: uint8(i), Key: [32]byte(random(32)), Transform: crypto.TransformAuto}
		if i > 0 {
			e.From = rolls[i-1]
		}
		if i < len(rolls) {
			e.Until = rolls[i]
		}
		epochs = append(epochs, e)
	}
	return epochs
}

// newCommunity is a community with these epochs and an hour of skew.
func newCommunity(epochs []crypto.Epoch) *crypto.Community {
	return &crypto.Community{Name: "town", Secret: [32]byte(random(32)), Skew: time.Hour, Epochs: epochs}
}

// keep writes a community file and returns its path. The file is dated back:
// no right clock is earlier than the file is, and the test's clocks are to be
// right.
func (w *town) keep(c *crypto.Community) string {
	w.t.Helper()
	path := filepath.Join(w.Dir, "community")
	w.rewrite(path, c)
	return path
}

// rewrite replaces a community file as an editor would, whole.
func (w *town) rewrite(path string, c *crypto.Community) {
	w.t.Helper()
	text, err := c.AppendText(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	old := time.Now().Add(-30 * 24 * time.Hour)
	if err := os.Chtimes(path+".new", old, old); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Fatal(err)
	}
}

// fourFlows sends count numbered datagrams each way, as DATA and as GROUP
// packets, all at once.
func fourFlows(a, b *member, count, rate int) (flows map[string]*flow, wait func()) {
	everybody := lastOf(a.prefix())
	flows = map[string]*flow{
		"DATA there":  newFlow(a, b, 9000, count),
		"DATA back":   newFlow(b, a, 9001, count),
		"GROUP there": newFlowTo(a, b, netip.AddrPortFrom(everybody, 9002), count),
		"GROUP back":  newFlowTo(b, a, netip.AddrPortFrom(everybody, 9003), count),
	}
	var running sync.WaitGroup
	for _, f := range flows {
		running.Go(func() { f.send(count, rate) })
	}
	return flows, running.Wait
}

// lastOf returns the broadcast address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// Keys roll under traffic between two edges whose clocks are 50 minutes apart:
// first at the time of the slow clock, which the fast one has passed long ago,
// then at that of the fast one. None of 10 000 frames is lost on DATA or GROUP
// packets, in either direction, on a direct path or a relayed one.
func TestRollWithClocksApart(t *testing.T) {
	const count, rate = 10_000, 1000
	cases := []struct {
		name        string
		left, right time.Duration // their clocks' error
		kind        lab.Kind
		path        control.Path
	}{
		{"right is fast", 0, 50 * time.Minute, lab.PortRestricted, control.PathDirect},
		{"right is slow", 0, -50 * time.Minute, lab.SymmetricRandom, control.PathRelay},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, 60*time.Second)
			start := time.Now()
			slow, fast := start.Add(min(c.left, c.right)), start.Add(max(c.left, c.right))
			file := w.keep(newCommunity(schedule(slow.Add(8*time.Second), fast.Add(11*time.Second))))
			args := []string{"--community-file", file, "-l", overIPv4, "--storm", "off"}
			left := w.start(w.home("left", 1, c.kind), append(args, "--test-clock-offset", c.left.String())...)
			right := w.start(w.home("right", 2, c.kind), append(args, "--test-clock-offset", c.right.String())...)
			left.addr()
			left.meet(right.addr(), 2*time.Second)
			left.reach(right, c.path)
			right.reach(left, c.path)

			time.Sleep(time.Until(start.Add(3 * time.Second))) // or they end before the second roll
			flows, wait := fourFlows(left, right, count, rate)
			if began := time.Since(start); began > 7*time.Second {
				t.Errorf("the flows began %v after the start: too late for the first roll", began)
			}
			wait()
			for name, f := range flows {
				f.wantAll(t, name)
			}
			for _, m := range []*member{left, right} {
				if ki := m.status().KeyIndex; ki != 2 {
					t.Errorf("%s sends under key index %d at the end", m.Name, ki)
				}
			}
		})
	}
}

// With clocks 70 minutes apart, more than the skew, traffic is whole again
// within 5 s of the second edge's roll.
func TestRollWithClocksTooFarApart(t *testing.T) {
	t.Parallel()
	const seconds, rate, apart = 16, 200, 70 * time.Minute
	w := newTown(t, 60*time.Second)
	roll := time.Now().Add(6 * time.Second)
	file := w.keep(newCommunity(schedule(roll)))
	args := []string{"--community-file", file, "-l", overIPv4}
	left := w.start(w.home("left", 1, lab.PortRestricted), args...)
	right := w.start(w.home("right", 2, lab.PortRestricted), append(args, "--test-clock-offset", apart.String())...)
	left.addr()
	right.addr()
	flows, wait := fourFlows(left, right, seconds*rate, rate)
	wait()
	for name, f := range flows {
		f.finish()
		if lost := f.unbroken(roll.Add(5 * time.Second)); lost > 0 {
			t.Errorf("%s: %d lost more than 5 s after the roll", name, lost)
		}
		t.Logf("%s: %d of %d lost in all, first arrival %v after the roll", name, len(f.missing()), f.sent,
			f.firstAfter(time.Time{}).Sub(roll))
	}
	for _, m := range []*member{left, right} {
		if ki := m.status().KeyIndex; ki != 1 {
			t.Errorf("%s sends under key index %d at the end", m.Name, ki)
		}
	}
}
