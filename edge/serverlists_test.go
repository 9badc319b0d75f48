package edge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/roster"
)

// asked returns which pieces the supernode was asked for since the last call.
func (v *testServer) asked() (indices []uint16) {
	v.tb.Helper()
	for _, m := range v.hears() {
		if m.typ == protocol.MsgListWant {
			w, err := protocol.ParseListWant(m.value)
			if err != nil {
				v.tb.Fatal(err)
			}
			indices = append(indices, w.Indices...)
		}
	}
	return indices
}

// hands has the supernode send pieces of a list.
func (v *testServer) hands(now time.Time, l *roster.List, indices ...uint16) {
	v.tb.Helper()
	for _, i := range indices {
		m, _ := l.Part(int(i))
		v.say(now, m.Append(nil))
	}
}

// registers returns the REGISTERs that the supernode got since the last call.
func (v *testServer) registers() (list []protocol.Register) {
	v.tb.Helper()
	for _, m := range v.hears() {
		if m.typ == protocol.MsgRegister {
			r, err := protocol.ParseRegister(m.value)
			if err != nil {
				v.tb.Fatal(err)
			}
			list = append(list, r)
		}
	}
	return list
}

func (v *testServer) serial() uint64 { return v.self.isolation.admission.floor }

// TestListFromSupernode: a newer list comes from a supernode that names it, a piece that was
// lost is asked for again, and no older list counts afterwards.
func TestListFromSupernode(t *testing.T) {
	v := registered(t, listedConfig)
	old := signedList(t, 1, entry(1, 0), entry(2, 0))
	v.adopts(old)
	list := signedList(t, 2, append(fillers(100), entry(1, 0))...)
	v.hears()
	v.say(noon, (&protocol.List{Head: &list.Head}).Append(nil))
	wants := v.asked()
	if len(wants) != list.Head.Pieces() {
		t.Fatalf("asked for %v", wants)
	}
	v.hands(noon, list, wants[1:]...)
	v.pass(noon.Add(listWait))
	if again := v.asked(); !slices.Equal(again, wants[:1]) {
		t.Fatalf("asked again for %v", again)
	}
	v.hands(noon.Add(listWait), list, wants[0])
	if v.serial() != 2 {
		t.Fatalf("it has list %d", v.serial())
	}
	v.hears()
	v.say(noon, (&protocol.List{Head: &old.Head}).Append(nil))
	v.say(noon, (&protocol.List{}).Append(nil))
	v.hands(noon, old, 0)
	if got := v.asked(); len(got) > 0 || v.serial() != 2 {
		t.Errorf("asked for %v of an old list, and has list %d", got, v.serial())
	}
}

// TestLyingSupernodeOfLists: a supernode that names lists which nobody has signed, sends wrong
// pieces or others than were asked for, or none, changes nothing; and who hears of no newer list says
// so in time.
func TestLyingSupernodeOfLists(t *testing.T) {
	v := registered(t, listedConfig)
	v.adopts(signedList(t, 5, entry(1, 0), entry(2, 0)))
	list := signedList(t, 6, append(fillers(60), entry(1, 0))...)
	v.hears()
	for i := range uint64(100) {
		h := list.Head
		h.Serial += 1 + i
		v.say(noon, (&protocol.List{Head: &h}).Append(nil))
	}
	if n := v.drops()["list-signature"]; n == 0 || n > headsBurst || v.drops()["list-rate"] < 100-headsBurst {
		t.Errorf("forged heads: %v", v.drops())
	}
	if got := v.asked(); len(got) > 0 {
		t.Errorf("a forged list is fetched: %v", got)
	}
	v.hands(noon, list, 0, 1, 2, 3)
	later := noon.Add(time.Minute)
	v.say(later, (&protocol.List{Head: &list.Head}).Append(nil))
	if got := v.asked(); len(got) != list.Head.Pieces() {
		t.Fatalf("asked for %v", got)
	}
	wrong, _ := list.Part(0)
	wrong.Entries[0].Roles ^= 1
	v.say(later, wrong.Append(nil))
	if v.drops()["list-piece"] != 1 {
		t.Errorf("a wrong piece: %v", v.drops())
	}
	v.hands(later, list, 0, 1, 2, 3)
	v.say(later, (&protocol.List{Head: &list.Head}).Append(nil))
	if got := v.asked(); len(got) > 0 || v.serial() != 5 || v.drops()["list-liar"] == 0 {
		t.Errorf("the liar is asked for %v, list %d, %v", got, v.serial(), v.drops())
	}
	if notes := strings.Join(v.data.lists.notes(0), " "); strings.Contains(notes, "E66") {
		t.Errorf("too early: %s", notes)
	}
	v.data.lists.look(noon.Add(31 * 24 * time.Hour))
	if notes := strings.Join(v.data.lists.notes(0), " "); !strings.Contains(notes, "something withholds it") || !strings.Contains(notes, "E66") {
		t.Errorf("a list that is withheld: %q", notes)
	}
}

// TestSilentSupernodeOfLists: a supernode that names a list and never sends it is asked a few
// times.
func TestSilentSupernodeOfLists(t *testing.T) {
	v := registered(t, listedConfig)
	v.adopts(signedList(t, 1, entry(1, 0)))
	v.hears()
	list := signedList(t, 2, entry(1, 0))
	v.say(noon, (&protocol.List{Head: &list.Head}).Append(nil))
	n := 0
	for i := range 8 {
		n += len(v.asked())
		v.pass(noon.Add(time.Duration(i+1) * listWait))
	}
	if n != listTries || v.servers.lists.fetch.of != nil {
		t.Errorf("asked %d times", n)
	}
	v.say(noon.Add(8*listWait), (&protocol.List{Head: &list.Head}).Append(nil))
	v.hands(noon.Add(8*listWait), list, v.asked()...)
	if v.serial() != 2 {
		t.Errorf("it has list %d", v.serial())
	}
}

// TestListToSupernode: the list of the authority is named at once in a REGISTER, its pieces
// go to the supernode that asks, and when that has it the edge registers without a pause. A
// list that came from others is named later, unless the supernode has said that it has it.
func TestListToSupernode(t *testing.T) {
	v := newServer(t, listedConfig)
	v.answer(noon)
	list := signedList(t, 1, append(fillers(40), entry(1, 0))...)
	first := v.registers()
	if len(first) != 1 || first[0].Listing == nil || first[0].Listing.Head != nil || [32]byte(testAuthority.Public()) != first[0].Listing.Authority {
		t.Fatalf("%+v", first)
	}
	v.say(noon, (&protocol.Nak{Code: protocol.CodeListWanted, Retry: 1}).Append(nil))
	if s := v.status(noon); !strings.Contains(strings.Join(s.Notes, " "), "before it has the list of members") {
		t.Errorf("without a list: %q", s.Notes)
	}
	if err := adoptMembers(v.Edge, noon, (&roster.File{List: list}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	v.settle(noon)
	v.pass(noon)
	named := v.registers()
	if len(named) != 1 || named[0].Listing.Head == nil || *named[0].Listing.Head != list.Head {
		t.Fatalf("%+v", named)
	}
	want := protocol.ListWant{Tag: roster.Tag(&list.Head), Indices: []uint16{2, 0}}
	v.say(noon, want.Append((&protocol.Nak{Code: protocol.CodeListWanted, Retry: 1}).Append(nil)))
	var parts []uint16
	for _, m := range v.hears() {
		if m.typ == protocol.MsgListPart {
			p, err := protocol.ParseListPart(m.value)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, p.Index)
		}
	}
	if !slices.Equal(parts, want.Indices) {
		t.Errorf("it gave %v", parts)
	}
	v.say(noon, (&protocol.List{Head: &list.Head}).Append(nil))
	v.pass(noon)
	if len(v.registers()) != 1 {
		t.Error("it does not register when the supernode has the list")
	}
	granted := ack(1)
	v.say(noon, (&protocol.List{Head: &list.Head}).Append(granted.Append(nil)))
	if !v.s.registered() || len(v.status(noon).Notes) > 0 {
		t.Errorf("%q", v.status(noon).Notes)
	}
	// Lists that came from other members.
	now := noon
	for serial := range uint64(2) {
		newer, knows := signedList(t, 2+serial, entry(1, 0)), serial == 1
		if err := v.data.lists.install(now, (&roster.File{List: newer}).Append(nil)); err != nil {
			t.Fatal(err)
		}
		v.settle(now)
		if knows {
			v.say(now, (&protocol.List{Head: &newer.Head}).Append(nil))
		}
		v.hears()
		v.pass(now.Add(serverTold / 2))
		soon := len(v.registers())
		now = now.Add(2 * serverTold)
		v.pass(now)
		if n := len(v.registers()); soon != 0 || (n == 0) != knows {
			t.Errorf("serial %d: %d and %d REGISTERs", newer.Head.Serial, soon, n)
		}
		v.say(now, granted.Append(nil))
	}
}

// TestListToldAgain: a supernode that goes on saying that it has an older list is told of the newer
// one again, and no more once it has that.
func TestListToldAgain(t *testing.T) {
	v := newServer(t, listedConfig)
	v.answer(noon)
	old, list := signedList(t, 1, entry(1, 0)), signedList(t, 2, entry(1, 0))
	granted := ack(1)
	granted.LeaseSeconds = 86400
	v.say(noon, (&protocol.List{Head: &old.Head}).Append(granted.Append(nil)))
	v.registers()
	if err := v.data.lists.install(noon, (&roster.File{List: list}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	v.settle(noon)
	now := noon.Add(2 * serverTold)
	v.pass(now)
	if n := len(v.registers()); n != 1 {
		t.Fatalf("%d REGISTERs at first", n)
	}
	for range 2 {
		v.say(now, (&protocol.List{Head: &old.Head}).Append(granted.Append(nil)))
		v.pass(now.Add(serverAgain - time.Second))
		soon := len(v.registers())
		now = now.Add(2 * serverAgain)
		v.pass(now)
		if got := v.registers(); soon != 0 || len(got) == 0 || *got[0].Listing.Head != list.Head {
			t.Errorf("%d REGISTERs at once, then %d", soon, len(got))
		}
	}
	v.say(now, (&protocol.List{Head: &list.Head}).Append(granted.Append(nil)))
	v.pass(now.Add(2 * serverAgain))
	if n := len(v.registers()); n != 0 {
		t.Errorf("%d REGISTERs for a supernode that has the list", n)
	}
}

// TestListInAnotherSession: a supernode that begins anew without the list that it had is given
// it, and has the edge at once when it has it.
func TestListInAnotherSession(t *testing.T) {
	v := registered(t, listedConfig)
	list := signedList(t, 1, entry(1, 0))
	v.adopts(list)
	has := protocol.List{Head: &list.Head}
	v.say(noon, has.Append(nil))
	v.servers.connector.renewAll(noon)
	v.settle(noon)
	v.answer(noon)
	if first := v.registers(); len(first) != 1 {
		t.Fatalf("%d REGISTERs in the new session", len(first))
	}
	v.say(noon, (&protocol.Nak{Code: protocol.CodeListWanted, Retry: 1}).Append(nil))
	v.say(noon, has.Append(nil))
	v.pass(noon)
	if n := len(v.registers()); n != 1 {
		t.Errorf("it registers %d times when the supernode has the list", n)
	}
}

// TestListsAreNoReasonToRegisterOften: a supernode that says again and again that it has our
// list, or by turns that it has it and none, has the edge register few times.
func TestListsAreNoReasonToRegisterOften(t *testing.T) {
	for name, turns := range map[string]bool{"again": false, "by turns": true} {
		t.Run(name, func(t *testing.T) {
			v, list, n := newServer(t, listedConfig), signedList(t, 1, entry(1, 0)), 0
			v.answer(noon)
			if err := adoptMembers(v.Edge, noon, (&roster.File{List: list}).Append(nil)); err != nil {
				t.Fatal(err)
			}
			v.settle(noon)
			v.pass(noon)
			v.hears()
			for range 100 {
				if turns {
					v.say(noon, (&protocol.List{}).Append(nil))
				}
				v.say(noon, (&protocol.List{Head: &list.Head}).Append(nil))
				v.pass(noon)
				n += len(v.registers())
			}
			most := 1
			if turns {
				most = headsBurst
			}
			if n == 0 || n > most {
				t.Errorf("it registered %d times, want 1 to %d", n, most)
			}
		})
	}
}
