package lists

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
	"hedgerow/internal/network"
	"hedgerow/protocol"
	"hedgerow/roster"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newTable(t testing.TB, cfg Config) *Table {
	t.Helper()
	cfg.Log, cfg.Disk = slog.New(slog.DiscardHandler), durable.System
	cfg.Sources = func(netip.Addr) int { return 1 }
	return New(cfg)
}

// community is one with a list of members.
type community struct {
	c  *crypto.Community
	by *crypto.Authority
}

func newCommunity(n int) community {
	by := crypto.NewAuthority(sha256.Sum256(fmt.Append(nil, "authority", n)))
	return community{by: by, c: &crypto.Community{
		Name: "c", Secret: sha256.Sum256(fmt.Append(nil, "secret", n)), Authority: by.Public(), Members: crypto.MembersList,
	}}
}

func member(n int) (id [32]byte) {
	binary.BigEndian.PutUint32(id[:], uint32(n))
	id[31] = 9
	return id
}

// sign makes a list of members with the numbers 0 to n-1.
func (c community) sign(t testing.TB, serial uint64, n int) *roster.List {
	t.Helper()
	var entries []roster.Entry
	for i := 0; len(entries) < n; i++ {
		if id := member(i); crypto.UsableID(id) {
			entries = append(entries, roster.Entry{ID: id})
		}
	}
	list, err := roster.Sign(c.by, c.c.ID(), serial, epoch, epoch.Add(time.Hour), entries)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// claim is what an edge shows that has a list.
func (c community) claim(t testing.TB, list *roster.List) *Claim {
	t.Helper()
	m := &protocol.Register{
		CID: c.c.ID(), NH: c.c.RoomHash(), RPK: [32]byte(c.c.Rendezvous().Public().(ed25519.PublicKey)),
		Listing: &protocol.Listing{NameHash: c.c.NameHash(), Authority: [32]byte(c.by.Public()), Head: &list.Head},
	}
	claim, ok := Check(m)
	if !ok || !claim.Signed() {
		t.Fatal("a true claim is none")
	}
	return claim
}

func applicant(c community, claim *Claim, session uint32, source netip.Addr) *Applicant {
	return &Applicant{CID: c.c.ID(), ID: member(0), Claim: claim, Session: session, Source: source}
}

// work does all jobs.
func (t *Table) work(now time.Time) (changed int) {
	for j := t.Next(); j != nil; j = t.Next() {
		t.Do(j)
		if _, is := t.Done(now, j); is {
			changed++
		}
	}
	return changed
}

// give has an edge bring a list whole, and reports whether all of it has come.
func give(tb testing.TB, t *Table, now time.Time, c community, list *roster.List, session uint32, source netip.Addr) bool {
	tb.Helper()
	_, want := t.Judge(now, applicant(c, c.claim(tb, list), session, source))
	came := want != nil
	for want != nil {
		asked := *want
		want = nil
		for _, i := range asked.Indices {
			part, _ := list.Part(int(i))
			next, ok := t.Part(now, session, &part)
			if !ok {
				return false
			}
			if next != nil {
				want = next
			}
		}
	}
	return came
}

// bring has an edge bring a list whole, and reports whether it counts then.
func bring(tb testing.TB, t *Table, now time.Time, c community, list *roster.List, session uint32, source netip.Addr) bool {
	tb.Helper()
	give(tb, t, now, c, list, session, source)
	t.work(now)
	got := t.List(c.c.ID())
	return got != nil && got.Head == list.Head
}

func source(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(10 + n>>16), byte(n >> 8), byte(n), 1})
}

// check compares the counts of a table with what is in it.
func (t *Table) check(tb testing.TB) {
	tb.Helper()
	size, weight, idle := 0, 0, 0
	used := make(map[network.Key]int)
	for cid, r := range t.rooms {
		if cid != r.of.CID || r.list == nil && r.gather == nil && r.whole == nil && r.doing == nil && !r.stale {
			tb.Fatalf("a room without anything: %+v", r)
		}
		if (r.list == nil) != (r.charge == 0) && r.doing == nil {
			tb.Fatalf("%d bytes are charged for list %v", r.charge, r.list)
		}
		size += r.charge
		for _, k := range network.Of(r.source) {
			if used[k] += r.charge; used[k] == 0 {
				delete(used, k)
			}
		}
		if r.place != nil {
			idle++
		}
		if g := r.gather; g != nil {
			weight += g.weight
			if t.coming[g.from] != g {
				tb.Fatal("a list comes from nobody")
			}
		}
		if g := r.whole; g != nil {
			weight += g.weight
			if g.waits.place == nil {
				tb.Fatal("a list that has come does not wait to be checked")
			}
		}
		if r.doing != nil && r.doing.came != nil {
			weight += r.doing.came.weight
		}
	}
	if size != t.size || weight != t.weight || idle != t.idle.Len() || len(used) != len(t.used) {
		tb.Fatalf("size %d, counted %d; weight %d, counted %d; idle %d, counted %d; networks %d, counted %d",
			size, t.size, weight, t.weight, idle, t.idle.Len(), len(used), len(t.used))
	}
	for k, n := range used {
		if t.used[k] != n || n > t.limit(k, netip.Addr{}) {
			tb.Fatalf("network %v has %d of %d, counted %d", k, n, t.limit(k, netip.Addr{}), t.used[k])
		}
	}
	if t.size > t.cfg.Size || t.weight > t.cfg.Size/gatherPart {
		tb.Fatalf("size %d, weight %d, of %d", t.size, t.weight, t.cfg.Size)
	}
}

// TestNewestListCounts: an old list changes nothing, in whatever order lists come.
func TestNewestListCounts(t *testing.T) {
	table, c := newTable(t, Config{}), newCommunity(1)
	old, newer := c.sign(t, 1, 40), c.sign(t, 2, 20)
	if !bring(t, table, epoch, c, newer, 1, source(1)) {
		t.Fatal("the first list does not count")
	}
	if table.News(c.claim(t, old)) || bring(t, table, epoch, c, old, 2, source(2)) || *table.rooms[c.c.ID()].head() != newer.Head {
		t.Error("an old list counts")
	}
	if v, _ := table.Judge(epoch, &Applicant{CID: c.c.ID(), ID: member(30), Claim: c.claim(t, old), Session: 3, Source: source(3)}); v != NotListed {
		t.Errorf("who is in the old list alone: %v", v)
	}
	if !table.Admits(epoch, c.c.ID(), member(0)) || table.Admits(epoch, c.c.ID(), member(30)) {
		t.Error("others are members than the list says")
	}
	if !bring(t, table, epoch, c, c.sign(t, 3, 40), 4, source(4)) {
		t.Error("a newer list does not count")
	}
	table.check(t)
}

// TestWrongClaims: an authority, a name or a key that the community's id is not made of.
func TestWrongClaims(t *testing.T) {
	c, list := newCommunity(1), newCommunity(1).sign(t, 1, 1)
	good := func() *protocol.Register {
		return &protocol.Register{
			CID: c.c.ID(), RPK: [32]byte(c.c.Rendezvous().Public().(ed25519.PublicKey)),
			Listing: &protocol.Listing{NameHash: c.c.NameHash(), Authority: [32]byte(c.by.Public()), Head: &list.Head},
		}
	}
	if claim, ok := Check(good()); !ok || !claim.Signed() {
		t.Fatal("a true claim")
	}
	for name, change := range map[string]func(m *protocol.Register){
		"id":        func(m *protocol.Register) { m.CID[0] ^= 1 },
		"key":       func(m *protocol.Register) { m.RPK[0] ^= 1 },
		"name":      func(m *protocol.Register) { m.Listing.NameHash[0] ^= 1 },
		"authority": func(m *protocol.Register) { m.Listing.Authority = [32]byte(newCommunity(2).by.Public()) },
		"unusable":  func(m *protocol.Register) { m.Listing.Authority = [32]byte{} },
	} {
		m := good()
		change(m)
		if _, ok := Check(m); ok {
			t.Errorf("another %s", name)
		}
	}
	m := good()
	head := *m.Listing.Head
	head.Serial++
	m.Listing.Head = &head
	if claim, ok := Check(m); !ok || claim.Signed() {
		t.Error("a head that nobody signed")
	}
	if claim, ok := Check(&protocol.Register{}); claim != nil || !ok {
		t.Error("a community without a list")
	}
}

// TestLiarAtSupernode: who sends wrong pieces, none, or more than were asked for delays a list
// and no more.
func TestLiarAtSupernode(t *testing.T) {
	table, c := newTable(t, Config{}), newCommunity(1)
	list, now := c.sign(t, 1, 1000), epoch
	part := func(i int) *protocol.ListPart {
		p, _ := list.Part(i)
		return &p
	}
	judge := func(session uint32) *protocol.ListWant {
		_, want := table.Judge(now, applicant(c, c.claim(t, list), session, source(int(session))))
		return want
	}
	if judge(1) == nil || judge(2) != nil {
		t.Fatal("two bring one list")
	}
	if _, ok := table.Part(now, 2, part(0)); ok {
		t.Error("a piece of somebody who was not asked")
	}
	wrong := part(1)
	wrong.Entries[0].Roles ^= 1
	if _, ok := table.Part(now, 1, wrong); ok || table.Expects(1) {
		t.Error("a wrong piece")
	}
	if judge(2) == nil {
		t.Fatal("the next one is not asked")
	}
	table.Part(now, 2, part(0))
	for range slowTries {
		if judge(3) != nil {
			t.Fatal("one that is asked again is not waited for")
		}
		now = now.Add(pieceWait)
		if again, _ := table.Tick(now); len(again) != 1 || again[0].Session != 2 || again[0].Want.Indices[0] != 1 {
			t.Fatalf("asked again: %+v", again)
		}
	}
	if judge(3) == nil {
		t.Fatal("a silent one is waited for")
	}
	taken := 0
	for table.Expects(3) && taken < 1000 {
		if _, ok := table.Part(now, 3, part(5)); ok {
			taken++
		}
	}
	if taken == 0 || taken > 2*(protocol.MaxWanted+strayPackets) {
		t.Errorf("%d pieces that were not asked for", taken)
	}
	table.check(t)
	for range lastTries + 1 {
		now = now.Add(pieceWait)
		table.Tick(now)
	}
	if len(table.rooms) != 0 || len(table.coming) != 0 {
		t.Error("what nobody brings is kept")
	}
	table.check(t)
}

// TestStrangersCannotFill: strangers that bring lists of the greatest size, from one network or
// from many, take neither the place of a list that is in use nor memory without bound, and
// a community of another network gets its list in.
func TestStrangersCannotFill(t *testing.T) {
	const size = 4 * roster.MaxSize
	table := newTable(t, Config{Size: size})
	home := newCommunity(0)
	homeList := home.sign(t, 1, 10)
	if !bring(t, table, epoch, home, homeList, 1, source(0)) {
		t.Fatal("no list")
	}
	table.Occupied(home.c.ID(), true)
	now := epoch
	list := func(c community) *roster.List { return c.sign(t, 1, 4000) }
	kept := 0
	for n := range 20 { // of one address
		c := newCommunity(100 + n)
		if bring(t, table, now, c, list(c), uint32(100+n), source(1)) {
			kept++
			if n%3 != 0 {
				table.Occupied(c.c.ID(), true)
			}
		}
		table.check(t)
		now = now.Add(time.Second)
	}
	if kept == 20 || kept == 0 {
		t.Errorf("one address has brought %d lists", kept)
	}
	for n := range 40 { // each of its own network
		c := newCommunity(200 + n)
		bring(t, table, now, c, list(c), uint32(200+n), source(300+n))
		table.check(t)
	}
	other := newCommunity(1000)
	if !bring(t, table, now, other, other.sign(t, 1, 10), 5000, source(9999)) {
		t.Error("there is no room for another community")
	}
	if got := table.List(home.c.ID()); got == nil || got.Head != homeList.Head {
		t.Error("a list that is in use made room")
	}
	// Lists that are begun and never come.
	for n := range 200 {
		c := newCommunity(2000 + n)
		table.Judge(now, applicant(c, c.claim(t, c.sign(t, 1, 100)), uint32(6000+n), source(n%3+5)))
		table.check(t)
	}
	now = now.Add(gatherLife + time.Second)
	table.Tick(now)
	table.check(t)
	if len(table.coming) != 0 || table.weight != 0 {
		t.Errorf("%d lists are still awaited", len(table.coming))
	}
}

// TestListsTooOften: a community cannot have new lists without a pause.
func TestListsTooOften(t *testing.T) {
	table, c := newTable(t, Config{}), newCommunity(1)
	taken := 0
	for serial := range uint64(100) {
		if bring(t, table, epoch, c, c.sign(t, serial+1, 1), 1, source(1)) {
			taken++
		}
	}
	if taken != newBurst {
		t.Errorf("%d lists at once", taken)
	}
}

// TestListsOnDisk: what was written is read; what was removed, cut or changed is not.
func TestListsOnDisk(t *testing.T) {
	dir := t.TempDir()
	table := newTable(t, Config{Dir: dir})
	var all []community
	for n := range 3 {
		c := newCommunity(n)
		if !bring(t, table, epoch, c, c.sign(t, 7, 20), uint32(n+1), source(n)) {
			t.Fatal("no list")
		}
		all = append(all, c)
	}
	table.forget(table.rooms[all[0].c.ID()])
	table.work(epoch)
	next := newTable(t, Config{Dir: dir})
	next.check(t)
	for n, c := range all {
		if has := next.List(c.c.ID()) != nil; has != (n > 0) {
			t.Errorf("%d: read %v", n, has)
		}
	}
	path := filepath.Join(dir, fmt.Sprintf("members-%x", all[1].c.ID()))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 13 {
		flipped := append([]byte(nil), whole...)
		flipped[at] ^= 4
		for what, b := range map[string][]byte{"cut": whole[:at], "flipped": flipped, "longer": append(append([]byte(nil), whole...), whole[:at+1]...)} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			sourceAt := len(fileMagic) + 3*32
			if r, err := readRoom(path); err == nil && (at < sourceAt || at >= sourceAt+16 || what != "flipped") {
				t.Fatalf("%s at %d is read: serial %d", what, at, r.list.Head.Serial)
			}
		}
	}
}

// TestListsDiskFull: a list that cannot be written counts, and is written when it can be.
func TestListsDiskFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	table, c := newTable(t, Config{Dir: dir}), newCommunity(1)
	if !bring(t, table, epoch, c, c.sign(t, 1, 3), 1, source(1)) {
		t.Fatal("the list does not count")
	}
	table.Tick(epoch)
	table.work(epoch)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	table.Tick(epoch.Add(retryPause))
	table.work(epoch.Add(retryPause))
	if newTable(t, table.cfg).List(c.c.ID()) == nil {
		t.Error("it was not written")
	}
}

// FuzzReadList: no file is more than damaged.
func FuzzReadList(f *testing.F) {
	c := newCommunity(1)
	table := newTable(f, Config{Dir: f.TempDir()})
	bring(f, table, epoch, c, c.sign(f, 1, 3), 1, source(1))
	path := filepath.Join(table.cfg.Dir, fmt.Sprintf("members-%x", c.c.ID()))
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		at := filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(at, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := readRoom(at); err == nil && r.list.Head != table.List(c.c.ID()).Head {
			t.Fatal("another list is read")
		}
	})
}
