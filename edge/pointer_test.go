package edge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/protocol"
)

// redirectOf returns a redirect of the test's supernode.
func redirectOf(v *testServer, serial uint64, host string) *protocol.Redirect {
	m := &protocol.Redirect{Serial: serial, Key: *v.s.key, Host: host}
	if host != "" {
		m.Port = 7654
	}
	return m
}

// TestRedirects: a supernode sends its edge to a place of the internet, and neither to
// another key, nor to a group, the host itself, its network or what is no host; not back to
// an older place, and once a minute at most. What is not obeyed changes nothing and is not
// answered, so that the supernode says it again.
func TestRedirects(t *testing.T) {
	v := registered(t, nil)
	p := &v.s.where.pointer
	other := redirectOf(v, 9, "198.51.100.9")
	other.Key[0] ^= 1
	refused := []*protocol.Redirect{other}
	for _, host := range []string{"224.0.0.1", "ff02::1", "127.0.0.1", "::1", "0.0.0.0", "255.255.255.255", "10.1.2.3", "240.0.0.1", "fe80::1%eth0", "a b", "-l", "x..y"} {
		refused = append(refused, redirectOf(v, 9, host))
	}
	low := redirectOf(v, 9, "198.51.100.9")
	low.Port = 53
	for _, m := range append(refused, low) {
		before := v.drops()["redirect"]
		v.hears()
		v.say(noon, m.Append(nil))
		if p.serial != 0 || p.host != "" || v.drops()["redirect"] != before+1 {
			t.Errorf("to %s:%d: %+v", m.Host, m.Port, p)
		}
		for _, h := range v.hears() {
			if h.typ == protocol.MsgRedirect {
				t.Errorf("to %s:%d: it was answered", m.Host, m.Port)
			}
		}
	}
	say := func(after time.Duration, m *protocol.Redirect) { v.say(noon.Add(after), m.Append(nil)) }
	say(0, redirectOf(v, 9, "198.51.100.9"))
	if p.place() != "198.51.100.9:7654" || !p.active() || v.s.kin.second.addr() != p.addrs[0] {
		t.Fatalf("%+v", p)
	}
	say(time.Second, redirectOf(v, 8, "198.51.100.8"))
	say(redirectPause-1, redirectOf(v, 10, "198.51.100.10"))
	if p.place() != "198.51.100.9:7654" {
		t.Errorf("an older one, or one too soon, leads to %s", p.place())
	}
	say(redirectPause, redirectOf(v, 10, "198.51.100.10"))
	if p.place() != "198.51.100.10:7654" || v.s.kin.second.addr() != p.addrs[0] || len(p.addrs) != 1 {
		t.Errorf("the next one leads to %s, %v", p.place(), v.s.kin.second.where.addrs)
	}
	say(redirectPause+1, redirectOf(v, 11, ""))
	if p.host != "" || !v.s.kin.second.dormant() || p.serial != 11 {
		t.Errorf("taken back, it leads to %s", p.place())
	}
}

// TestPointerIsKept: the place belongs to a supernode and its key, over restarts.
func TestPointerIsKept(t *testing.T) {
	var st state
	key, p := [32]byte{1}, pointer{serial: 5, host: "new.example", port: 7654}
	st.keepPointer("vps", key, &p)
	if got := st.pointer("vps", key); got.serial != 5 || got.place() != "new.example:7654" {
		t.Errorf("%+v", got)
	}
	if got := st.pointer("vps", [32]byte{2}); got.serial != 0 || got.host != "" {
		t.Errorf("of another key: %+v", got)
	}
	for i := range 3 * storedAddresses {
		st.keepPointer(string(rune('a'+i)), key, &p)
	}
	if n := len(st.saved.Redirects); n > storedAddresses {
		t.Errorf("%d are kept", n)
	}
}

// TestRedirectedSaysWhatToType: both sentences name the place to type.
func TestRedirectedSaysWhatToType(t *testing.T) {
	for _, there := range []bool{true, false} {
		if text := control.Redirected("vps:7654", "new.example:7654", there); !strings.Contains(text, "-l new.example:7654") {
			t.Errorf("%s", text)
		}
	}
}

// TestRedirectsAreNoAmplifier: a supernode that sends its edge to another place each minute
// has as few packets sent as one that names a single place that does not answer.
func TestRedirectsAreNoAmplifier(t *testing.T) {
	v := registered(t, nil)
	o, p, sent := v.servers.connector.locator.pointers, &v.s.where.pointer, 0
	for second := range 3600 {
		now := noon.Add(time.Duration(second) * time.Second)
		if second%60 == 0 {
			v.say(now, redirectOf(v, uint64(9+second), fmt.Sprintf("198.51.100.%d", second/60+10)).Append(nil))
		}
		if p.active() {
			o.spend(now, v.s, p.addrs[0])
			sent++
		}
		o.pause(now, v.s)
	}
	if most := pointerPackets + pointerMore*pointerPauses; p.serial < 3000 || sent < pointerPackets || sent > most {
		t.Errorf("%d packets in an hour, want %d to %d; the last is %d", sent, pointerPackets, most, p.serial)
	}
}

// TestRedirectAfterForgotten: a place that never answered is forgotten, and the supernode's
// next place is tried when the pause is over.
func TestRedirectAfterForgotten(t *testing.T) {
	v := registered(t, nil)
	o, p, now := v.servers.connector.locator.pointers, &v.s.where.pointer, noon
	v.say(now, redirectOf(v, 9, "198.51.100.9").Append(nil))
	for end := noon.Add(2 * time.Hour); p.host != "" && now.Before(end); now = now.Add(time.Second) {
		if p.active() {
			o.spend(now, v.s, p.addrs[0])
		}
		o.pause(now, v.s)
	}
	p.sent++ // a packet that went out in the pause
	if p.host != "" {
		t.Fatal("it is not forgotten")
	}
	until := p.until
	v.say(now, redirectOf(v, 10, "198.51.100.10").Append(nil))
	if at := v.s.kin.pausing.At(); p.active() || !at.Equal(until) || !until.After(now) {
		t.Fatalf("active %v; it is tried at %v, want %v", p.active(), at, until)
	}
	if left := pointerPackets - p.sent; left < pointerMore || p.pauses >= pointerPauses {
		t.Errorf("it is forgotten before an answer can come: %+v", p)
	}
	o.pause(until, v.s)
	if !p.active() || p.place() != "198.51.100.10:7654" {
		t.Errorf("when the pause is over it is not tried: %+v", p)
	}
}

// TestRedirectsWithoutPlaceWriteNothing: a supernode that says again and again that it is
// where it is known has no file written each time, but its serial is kept.
func TestRedirectsWithoutPlaceWriteNothing(t *testing.T) {
	v := registered(t, inDir(t.TempDir()))
	v.say(noon, redirectOf(v, 9, "198.51.100.9").Append(nil))
	before := v.state.version
	for i := range uint64(100) {
		v.say(noon, redirectOf(v, 10+i, "").Append(nil))
	}
	if n := v.state.version - before; n != 1 { // the first one took a place back
		t.Errorf("the state was written %d times", n)
	}
	v.keepState(noon.Add(storeEvery))
	v.background.workers.Wait()
	s, err := loadState(v.state.dir, noon, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.pointer(v.s.cfg.Name, *v.s.key); got.serial != 109 || got.host != "" {
		t.Errorf("%+v is kept", got)
	}
}

// TestTakeOverKeepsThePause: when the second supernode of a name takes the place of the
// first, the pause of the place that was named ends for it.
func TestTakeOverKeepsThePause(t *testing.T) {
	v := registered(t, nil)
	v.say(noon, redirectOf(v, 9, "198.51.100.9").Append(nil))
	c, second, p := v.servers.connector, v.s.kin.second, &v.s.where.pointer
	for range pointerPackets {
		c.locator.pointers.spend(noon, v.s, p.addrs[0])
	}
	until := p.until
	second.hop.session, second.hop.at = v.s.hop.session, v.s.hop.at
	second.grant.done, second.grant.on = true, second.hop.session
	if !second.registered() || until.IsZero() || !c.takeOver(noon, v.s) {
		t.Fatalf("registered %v, paused until %v: it is not taken over", second.registered(), until)
	}
	if at := second.kin.pausing.At(); !at.Equal(until) {
		t.Fatalf("the pause ends at %v, want %v", at, until)
	}
	to := second.where.pointer.addrs[0]
	v.sentNow()
	v.pass(until)
	if v.sentTo(to) == 0 {
		t.Errorf("after the pause it is not tried: %+v", second.where.pointer)
	}
}
