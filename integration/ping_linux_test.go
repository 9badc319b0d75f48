package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// pinging runs "edge ping" at a member.
func (m *member) pinging(args ...string) (out, errs string, code int) {
	m.town.t.Helper()
	return m.town.run(m.town.t, m.town.ctx, m.Host, append([]string{"ping", "--control", m.Socket}, args...)...)
}

// pings is pinging that ends the test unless all were answered, with the answers.
func (m *member) pings(args ...string) (list []control.Ping) {
	m.town.t.Helper()
	out, errs, code := m.pinging(append([]string{"--json", "-i", "100ms"}, args...)...)
	if code != 0 {
		m.town.t.Fatalf("ping %v: code %d\n%s%s", args, code, out, errs)
	}
	for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
		var p control.Ping
		if err := json.Unmarshal(s.Bytes(), &p); err != nil {
			m.town.t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// A ping makes the session and the direct path as a frame would, is answered on
// the way, and says by which.
func TestPingUntilDirect(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	left, right := w.pair(lab.PortRestricted)
	left.addr()
	right.addr()
	left.learns(right)
	if _, errs, code := left.pinging("right"); code != 1 || !strings.Contains(errs, "A name is known from the first traffic on") {
		t.Errorf("code %d, %s", code, errs)
	}
	out, errs, code := left.pinging(right.addr().String(), "--until-direct", "-i", "100ms")
	t.Logf("%s", out)
	if code != 0 {
		t.Fatalf("code %d, %s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if !strings.HasPrefix(lines[0], "via relay "+superAddr+" ") || !strings.Contains(lines[0], "seq 1 ") {
		t.Errorf("the first answer: %s", lines[0])
	}
	if last := lines[len(lines)-2]; !strings.HasPrefix(last, "via direct 198.51.100.2:") || !strings.HasSuffix(last, "<- upgraded") {
		t.Errorf("the last answer: %s", last)
	}
	if sum := lines[len(lines)-1]; !strings.Contains(sum, "path changed relay -> direct after ") {
		t.Errorf("the sum: %s", sum)
	}

	p := left.reach(right, control.PathDirect)
	for _, name := range []string{"right", p.MAC, p.ID, right.addr().String(), right.addr6().String()} {
		for _, got := range left.pings(name, "-c", "2") {
			if got.Path != control.PathDirect || got.Name != "right" || got.RTTms == nil || got.Endpoint != p.Endpoint {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	most := p.Payload + 14 // the header that a frame between the two edges goes without
	if p.Payload == 0 {
		t.Errorf("%+v", p)
	}
	checkSizes(t, left, most)
	if _, errs, code := left.pinging("wrong"); code != 1 || !strings.Contains(errs, `no edge is called "wrong". There are: right`) {
		t.Errorf("code %d, %s", code, errs)
	}
	if p.SinceS == nil || *p.SinceS > 30 || p.Kind == "" {
		t.Errorf("%+v", p)
	}
}

// checkSizes has pings go whole up to the size that the path takes frames of, and
// longer ones in pieces there and back.
func checkSizes(t *testing.T, left *member, whole int) {
	t.Helper()
	for size, pieces := range map[int]int{whole - 32: 1, whole + 32: 2, 1514: 2, 9018: 7} {
		for _, got := range left.pings("right", "-c", "2", "--size", fmt.Sprint(size)) {
			if !got.Answered || got.Size != size || got.Pieces != pieces {
				t.Errorf("%d bytes: %+v", size, got)
			}
		}
	}
	_, errs, code := left.pinging("right", "-c", "1", "--size", "9019")
	if code != 1 || !strings.Contains(errs, "a ping is as long as a frame of 9018 bytes at most, not of 9019") {
		t.Errorf("code %d, %s", code, errs)
	}
}

// learns waits until the supernode has told of the other.
func (m *member) learns(other *member) {
	m.town.t.Helper()
	for m.town.ctx.Err() == nil {
		peers, err := m.town.Peers(m.town.ctx, m.Program)
		for _, p := range peers {
			if err == nil && p.MAC == other.status().MAC {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.town.t.Fatalf("%s has not heard of %s", m.Name, other.Name)
}

// Where there is no direct path, ping and peers say by which way it goes, and why.
func TestPingSaysWhy(t *testing.T) {
	t.Parallel()
	w, inside, _ := streamTown(t, ":443")
	left := w.join(w.home("left", 2, lab.SymmetricRandom), overIPv4)
	right := w.join(w.home("right", 3, lab.SymmetricRandom), overIPv4)
	blocked := w.join(inside, overIPv4)
	for _, m := range []*member{left, right, blocked} {
		m.addr()
	}
	left.meet(right.addr(), 10*time.Second)
	left.meet(blocked.addr(), 10*time.Second)
	time.Sleep(5 * time.Second) // the first attempts are over
	why := "both NATs give every destination another port"
	var last control.Ping
	for _, last = range left.pings("right", "-c", "5") {
		if last.Path != control.PathRelay || last.Kind != control.KindUDP || last.Via != overIPv4 {
			t.Errorf("%+v", last)
		}
	}
	t.Log(last.Reason)
	if last.Reason == "" {
		t.Error("no reason")
	}
	for _, p := range blocked.pings("left", "-c", "2") {
		if p.Path != control.PathRelay || p.Kind != control.KindTLS {
			t.Errorf("%+v", p)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		out, _, _ := w.run(t, w.ctx, left.Host, "peers", "--control", left.Socket)
		if strings.Contains(out, "    "+why) {
			t.Logf("%s", out)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not say why:\n%s", out)
		}
		left.pings("right", "-c", "1")
		time.Sleep(300 * time.Millisecond)
	}
	out, _, _ := w.run(t, w.ctx, blocked.Host, "peers", "--control", blocked.Socket)
	if !strings.Contains(out, "tls "+superAddr) {
		t.Errorf("%s", out)
	}
	if _, errs, code := left.pinging("right", "--until-direct", "-c", "2", "-i", "50ms"); code != 1 || !strings.Contains(errs, "no direct path to right after 2 pings: ") {
		t.Errorf("code %d, %s", code, errs)
	}
}

// Two edges in one home reach each other there, and a peer that is gone does not
// answer.
func TestPingAtHome(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	router := lab.Must(w.Router("home", "198.51.100.1", lab.PortRestricted))
	left := w.join(lab.Must(router.Host("left")), overIPv4)
	right := w.join(lab.Must(router.Host("right")), overIPv4)
	left.addr()
	right.addr()
	left.learns(right)
	if out, errs, code := left.pinging(right.addr().String(), "--until-direct", "-i", "100ms"); code != 0 {
		t.Fatalf("code %d, %s%s", code, out, errs)
	}
	p := left.pings("right", "-c", "1")[0]
	if near := strings.HasPrefix(p.Endpoint, "192.168.1.") || strings.HasPrefix(p.Endpoint, "[fe80:"); !near || p.Path != control.PathDirect || p.Kind != control.KindLAN && p.Kind != "host" {
		t.Errorf("%+v", p)
	}
	if err := right.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out, errs, code := left.pinging("right", "-c", "1")
	if code != 1 || !strings.Contains(out, "no answer") || errs != "edge: 1 of 1 ping had no answer.\n" {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if took := time.Since(began); took < 5*time.Second || machine.since(began) > 7*time.Second {
		t.Errorf("it took %v", took)
	}
}
