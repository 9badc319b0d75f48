package integration

import (
	"encoding/json"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// One host is in two communities by two processes, each with a device, a state
// directory and a control socket; the communities do not see each other.
func TestTwoCommunitiesOnOneHost(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	both := w.home("both", 1, lab.PortRestricted)
	join := func(h *lab.Host, name, community, device string) *member {
		dir := filepath.Join(w.Dir, name)
		p := lab.Must(w.Run(w.ctx, h, name, dir+".sock", programs.Edge, "--name", name, "-d", device,
			"--state-dir", dir, "--control", dir+".sock", "-c", community, "-k", "key of "+community, "-l", overIPv4))
		w.watch(p)
		return newMember(w, p)
	}
	one := join(both, "one", "first", "edge0")
	two := join(both, "two", "second", "edge1")
	first := join(w.home("a", 2, lab.PortRestricted), "neighbour", "first", "edge0")
	second := join(w.home("b", 3, lab.SymmetricRandom), "colleague", "second", "edge0")
	one.addr()
	two.addr()
	for _, pair := range [][2]*member{{one, first}, {two, second}} {
		here, there := pair[0], pair[1]
		here.meet(there.addr(), answerWithin)
		there.meet(here.addr(), answerWithin)
		peers, err := w.Peers(w.ctx, here.Program)
		if err != nil {
			t.Fatal(err)
		}
		if len(peers) != 1 || peers[0].Name != there.Name {
			t.Errorf("%s has the peers %+v", here.Name, peers)
		}
	}
	if a, b := one.prefix(), two.prefix(); a.Overlaps(b) {
		t.Errorf("the communities have the networks %s and %s", a, b)
	}
	if a, b := one.status(), two.status(); a.Device != "edge0" || b.Device != "edge1" || a.MAC == b.MAC || a.ID == b.ID {
		t.Errorf("one is %s %s %s, two is %s %s %s", a.Device, a.MAC, a.ID, b.Device, b.MAC, b.ID)
	}
	st, err := w.SupernodeStatus(w.ctx, w.super)
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Communities) != 2 || st.Edges != 4 {
		t.Errorf("the supernode serves %+v", st.Communities)
	}
}

// Edges that know two supernodes are registered at both, and say which one serves. When
// the one that relays is killed, the other one does within a second.
func TestTwoSupernodes(t *testing.T) {
	t.Parallel()
	const rate, seconds = 100, 14
	w := newTown(t, 60*time.Second)
	spare := w.supernode("spare", "203.0.113.2")
	const spareAddr = "203.0.113.2:" + superPort
	left, right := w.pair(lab.SymmetricRandom, "-l", spareAddr)
	left.addr()
	right.addr()
	w.registered(2)
	w.registeredAt(spare, 2)
	left.meet(right.addr(), 2*time.Second)
	via := left.reach(right, control.PathRelay).Via
	relaying, other := w.super, spareAddr
	if via == spareAddr {
		relaying, other = spare, overIPv4
	}
	for _, s := range left.status().Supernodes {
		if want := map[bool]control.SupernodeRole{true: control.RoleServing, false: control.RoleStandby}[s.Name == via]; s.Role != want {
			t.Errorf("%s is %q while %s relays", s.Name, s.Role, via)
		}
	}
	f := newFlow(left, right, 9000, seconds*rate)
	f.waits = watchWaits(t, left.Pid(), right.Pid(), w.super.Pid(), spare.Pid())
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		f.send(seconds*rate, rate)
	}()
	time.Sleep(2 * time.Second)
	killed := time.Now()
	w.kill(relaying)
	<-sent
	f.finish()
	const underWay = 50 * time.Millisecond // what the dead one had received
	again := f.firstAfter(killed.Add(underWay))
	if again.IsZero() {
		t.Fatalf("no traffic after the death of %s", via)
	}
	if peer := left.reach(right, control.PathRelay); peer.Via != other {
		t.Errorf("relayed by %s after the death of %s", peer.Via, via)
	}
	if lost := f.unbroken(again); lost > 0 {
		t.Errorf("%d frames lost after traffic went on", lost)
	}
	if gap := f.longestGap(); gap >= time.Second {
		t.Errorf("no traffic for %v", gap)
	}
	t.Logf("traffic went on through %s after %v", other, f.longestGap())

	third := w.join(w.home("third", 3, lab.PortRestricted), overIPv4, "-l", spareAddr)
	third.addr()
	third.meet(right.addr(), answerWithin)
}

// The three command lines of n2n's page do what they say, the environment
// giving each process its own directories and nothing else.
func TestCommandLinesOfN2N(t *testing.T) {
	t.Parallel()
	w := newQuietTown(t, 60*time.Second)
	run := func(h *lab.Host, line, socket string) *rig.Program {
		dir := filepath.Join(w.Dir, h.Name())
		argv := strings.Fields(line)
		argv[0] = filepath.Join(filepath.Dir(programs.Edge), argv[0])
		environment := []string{"env", "STATE_DIRECTORY=" + dir, "RUNTIME_DIRECTORY=" + dir}
		p := lab.Must(w.Run(w.ctx, h, h.Name(), filepath.Join(dir, socket), append(environment, argv...)...))
		w.watch(p)
		return p
	}
	w.super = run(lab.Must(w.Host("super", superAddr)), "supernode -l 7654", "supernode.sock")
	w.await(w.super, "listening on")
	one := newMember(w, run(w.home("one", 1, lab.PortRestricted),
		"edge -a 10.1.2.1 -c mynetwork -k encryptme -l 203.0.113.1:7654", "mynetwork.sock"))
	two := newMember(w, run(w.home("two", 2, lab.PortRestricted),
		"edge -d n2n0 -c mynetwork -k encryptme -a 10.1.2.2 -l 203.0.113.1:7654", "mynetwork.sock"))
	want := map[*member]struct{ device, prefix string }{one: {"edge0", "10.1.2.1/24"}, two: {"n2n0", "10.1.2.2/24"}}
	for m, its := range want {
		if got := m.prefix().String(); got != its.prefix {
			t.Errorf("%s has %s", m.Name, got)
		}
		if got := m.status().Device; got != its.device {
			t.Errorf("%s has the device %s", m.Name, got)
		}
	}
	one.meet(netip.MustParseAddr("10.1.2.2"), 2*time.Second)
	two.meet(netip.MustParseAddr("10.1.2.1"), 2*time.Second)
	w.registered(2)
}

// An edge that is told to end says good-bye: the other edge and the supernode
// know it at once, its lease stays, and nothing is left on its host.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	const soon = time.Second // after its end; who was told nothing asks for longer
	w := newTown(t, 60*time.Second)
	left, right := w.pair(lab.PortRestricted)
	before := w.leases(left, right)
	left.meet(right.addr(), 2*time.Second)
	left.reach(right, control.PathDirect)
	w.registered(2)
	told := time.Now()
	if err := right.Stop(); err != nil {
		t.Fatalf("%v\n%s", err, right.Log())
	}
	ended := machine.since(told)
	if ended > 2*time.Second {
		t.Errorf("it took %v to end", ended)
	}
	gone := time.Now()
	for left.path(right) != control.PathNone && machine.since(gone) < soon {
		time.Sleep(10 * time.Millisecond)
	}
	if p := left.path(right); p != control.PathNone {
		t.Errorf("%v after the end the path is %q", machine.since(gone), p)
	}
	st := lab.Must(w.SupernodeStatus(w.ctx, w.super))
	for ; st.Edges != 1 && machine.since(gone) < soon; st = lab.Must(w.SupernodeStatus(w.ctx, w.super)) {
		time.Sleep(10 * time.Millisecond)
	}
	if st.Edges != 1 || st.Leases != 2 {
		t.Errorf("the supernode has %d edges and %d leases", st.Edges, st.Leases)
	}
	t.Logf("ended in %v; the other edge and the supernode knew within %v", ended, machine.since(gone))
	if out, err := right.Host.Command(w.ctx, "ip", "-o", "link").CombinedOutput(); err != nil || strings.Contains(string(out), overlay) {
		t.Errorf("links of the host: %s, %v", out, err)
	}
	w.again(right)
	before.same(t, w.leases(right))
	left.meet(right.addr(), 2*time.Second)
}

// SIGHUP makes an edge read its community file again: a new epoch is taken
// over under traffic, and a file that is wrong changes nothing.
func TestReload(t *testing.T) {
	const count, rate = 4000, 1000
	w := newTown(t, 60*time.Second)
	c := newCommunity(schedule())
	file := w.keep(c)
	args := []string{"--community-file", file, "-l", overIPv4, "--storm", "off"}
	left := w.start(w.home("left", 1, lab.PortRestricted), args...)
	right := w.start(w.home("right", 2, lab.PortRestricted), args...)
	left.addr()
	left.meet(right.addr(), 2*time.Second)
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)

	// The old key until 2 s from now, then a new one, in the same community.
	next := *c
	roll := time.Now().Add(2 * time.Second)
	next.Epochs = schedule(roll)
	next.Epochs[0].Key = c.Epochs[0].Key
	w.rewrite(file, &next)
	for _, m := range []*member{left, right} {
		if err := m.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		m.awaitEpochs([]uint8{0, 1})
	}
	flows, wait := fourFlows(left, right, count, rate)
	wait()
	for name, f := range flows {
		f.wantAll(t, name)
	}
	for _, m := range []*member{left, right} {
		if ki := m.status().KeyIndex; ki != 1 {
			t.Errorf("%s sends under key index %d after the roll", m.Name, ki)
		}
	}

	other := newCommunity(schedule())
	w.rewrite(file, other) // another secret: another community
	if err := left.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	w.await(left.Program, "stop this edge")
	left.awaitEpochs([]uint8{0, 1})
	left.ping(right.addr(), answerWithin)
}

// awaitEpochs waits until the edge knows exactly these epochs, at most as long
// as a signal may take; without one the file is looked at every 2 s.
func (m *member) awaitEpochs(want []uint8) {
	m.town.t.Helper()
	var got []uint8
	for began := time.Now(); machine.since(began) < time.Second; time.Sleep(10 * time.Millisecond) {
		k, err := m.town.Keys(m.town.ctx, m.Program)
		if err != nil {
			m.town.t.Fatal(err)
		}
		got = nil
		for _, e := range k.Epochs {
			got = append(got, e.Index)
		}
		if slices.Equal(got, want) {
			return
		}
	}
	m.town.t.Fatalf("%s knows the epochs %v, not %v", m.Name, got, want)
}

// The document of edge peers --json has at least what is promised.
func TestPeersDocument(t *testing.T) {
	t.Parallel()
	w := newTown(t, 30*time.Second)
	left, right := w.pair(lab.PortRestricted)
	left.addr()
	left.meet(right.addr(), 2*time.Second)
	left.reach(right, control.PathDirect)
	out, err := exec.CommandContext(w.ctx, programs.Edge, "peers", "--json", "--control", left.Socket).Output()
	if err != nil {
		t.Fatal(err)
	}
	var peers []map[string]any
	if err := json.Unmarshal(out, &peers); err != nil || len(peers) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, key := range []string{"name", "id", "mac", "ips", "path", "endpoint", "rtt_ms", "rx_bytes", "tx_bytes", "last_seen_s"} {
		if peers[0][key] == nil {
			t.Errorf("there is no %s: %s", key, out)
		}
	}
}

// A supernode that may have any port takes one that is free for UDP and for TCP. The
// system has two to choose from, and one of them is taken.
func TestAnyPortIsWhollyFree(t *testing.T) {
	t.Parallel()
	w := newQuietTown(t, 60*time.Second)
	host := lab.Must(w.Host("super", superAddr))
	if err := host.Sysctl("net/ipv4/ip_local_port_range", "40000 40001"); err != nil {
		t.Fatal(err)
	}
	taken := lab.Must(host.Listen("tcp", ":40000"))
	defer taken.Close()
	for _, name := range []string{"one", "two", "three"} {
		dir := filepath.Join(w.Dir, name)
		p := lab.Must(w.Run(w.ctx, host, name, dir+".sock", programs.Supernode, "-p", "0", "--state-dir", dir, "--control", dir+".sock"))
		w.watch(p)
		w.await(p, "listening on UDP [::]:40001")
		w.await(p, "listening on TCP [::]:40001")
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
}
