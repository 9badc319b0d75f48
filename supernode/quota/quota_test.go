package quota

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

// payer is somebody with a number, at an address of his own.
func payer(t *Table, community, n int) *Payer {
	var id [32]byte
	binary.BigEndian.PutUint32(id[:], uint32(n))
	from := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	p := new(Payer)
	t.SetPayer(p, [16]byte{byte(community)}, id, from, from)
	return p
}

func TestDefaults(t *testing.T) {
	for _, test := range []struct{ set, want Limits }{
		{},
		{Limits{Edge: 5}, Limits{Edge: 5}},
		{Limits{All: 1000}, Limits{1000, 500, 250, 250}},
		{Limits{All: 1}, Limits{1, 1, 1, 1}},
		{Limits{All: 1000, Community: 2000, Source: 7}, Limits{1000, 2000, 250, 7}},
	} {
		if got := test.set.Defaults(); got != test.want {
			t.Errorf("%+v: %+v, want %+v", test.set, got, test.want)
		}
	}
}

// TestMonths: a month begins at midnight UTC wherever the clock is.
func TestMonths(t *testing.T) {
	east := time.FixedZone("east", 13*3600)
	for _, test := range []struct {
		at, begins, ends string
	}{
		{"2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"},
		{"2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"2028-02-29T11:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		m := monthOf(at.In(east))
		if b, e := time.Unix(m.begins, 0).UTC().Format(time.RFC3339), time.Unix(m.ends, 0).UTC().Format(time.RFC3339); b != test.begins || e != test.ends {
			t.Errorf("%s: from %s to %s", test.at, b, e)
		}
		if !m.has(at) || m.has(time.Unix(m.ends, 0)) || m.has(time.Unix(m.begins-1, 0)) || numbered(m.number) != m {
			t.Errorf("%s: %+v, %+v", test.at, m, numbered(m.number))
		}
	}
}

// TestClocks: the month follows a clock in both directions, but not one that was never set.
func TestClocks(t *testing.T) {
	table := NewTable(noon, Limits{Edge: 10}, 1, 1, 1)
	p := payer(table, 1, 1)
	table.Add(p, 10)
	if !table.Current(noon.Add(time.Hour), p, p.from) || table.Over(p, 1) != Edge {
		t.Error("an hour later it is another month")
	}
	if !table.Current(time.Unix(3600, 0), p, p.from) || table.Over(p, 1) != Edge {
		t.Error("a clock that was never set begins a month")
	}
	for _, months := range []int{1, -1, 12} {
		now := noon.AddDate(0, months, 0)
		if table.Current(now, p, p.from) || table.All().Used != 0 {
			t.Errorf("%d months later %+v", months, table.All())
		}
		p = payer(table, 1, 1)
		if !table.Current(now, p, p.from) || table.Over(p, 1) != None {
			t.Errorf("%d months later nothing may be used", months)
		}
		table.Add(p, 10)
	}
	if table.Current(noon.AddDate(1, 0, 0), p, netip.MustParseAddr("192.0.2.1")) {
		t.Error("who has moved pays for where he was")
	}
}

// TestScopes: a limit is one of all that are counted together, and of nobody else.
func TestScopes(t *testing.T) {
	table := NewTable(noon, Limits{All: 1000, Community: 100, Edge: 40, Source: 30}, 10, 10, 10)
	one, two := payer(table, 1, 1), payer(table, 2, 2)
	table.Add(one, 29)
	if s := table.Over(one, 1); s != None {
		t.Errorf("below all limits: %d", s)
	}
	table.Add(one, 1)
	if s := table.Over(one, 1); s != Source {
		t.Errorf("of its source: %d", s)
	}
	if s := table.Over(one, 2); s != None {
		t.Errorf("of a source that stands for two: %d", s)
	}
	table.Add(one, 10)
	if s := table.Over(one, 2); s != Edge {
		t.Errorf("of the edge: %d", s)
	}
	if table.Spent(one, 2) != Edge || table.Spent(two, 1) != None {
		t.Error("a hundredth of 40 and less is nothing")
	}
	table.Add(one, 60)
	if s := table.Over(payer(table, 1, 3), 1); s != Community {
		t.Errorf("of the community: %d", s)
	}
	if s := table.Over(two, 1); s != None {
		t.Errorf("of another community: %d", s)
	}
	table.Add(one, 900)
	if s := table.Over(two, 1); s != All {
		t.Errorf("of all: %d", s)
	}
	if s := table.Spent(two, 1); s != None {
		t.Errorf("a hundredth beyond the limit of all: %d", s)
	}
	table.Add(one, 10)
	if s := table.Spent(two, 1); s != All {
		t.Errorf("more than a hundredth beyond the limit of all: %d", s)
	}
	if u := table.All(); u != (Use{1010, 1000}) || u.Part() != 101 || (Use{5, 0}).Part() != 0 {
		t.Errorf("%+v, %d %%", u, u.Part())
	}
	if table.Source(one.from, math.MaxInt).Limit != math.MaxUint64 || table.Edge([32]byte{9}) != (Use{0, 40}) || table.Community([16]byte{1}).Used != 1010 {
		t.Error("uses are others")
	}
}

// TestStrangersFillNothing: any number of strangers leaves a table as large as it may be,
// and in it whoever has used more than they.
func TestStrangersFillNothing(t *testing.T) {
	const most, heavy, strangers = 256, 50, 20 * 256
	table := NewTable(noon, Limits{Edge: 1000, Source: 1000}, most, most, most)
	var known []*Payer
	for n := range heavy {
		known = append(known, payer(table, n%8, n))
		table.Add(known[n], 1000)
	}
	for n := range strangers {
		table.Add(payer(table, 8, 1000+n), 100)
	}
	for n, p := range known {
		if !table.Current(noon, p, p.from) || table.Over(payer(table, n%8, n), 1) != Edge {
			t.Errorf("%d has been forgotten", n)
		}
	}
	for scope := range table.books {
		b := &table.books[scope]
		if len(b.list) > most || len(b.of) != len(b.list) {
			t.Errorf("scope %d: %d accounts, %d by key", scope, len(b.list), len(b.of))
		}
		for k, a := range b.of {
			if a.key != k || a.month != table.month.number {
				t.Errorf("scope %d: %x is %x of month %d", scope, k, a.key, a.month)
			}
		}
	}
	if want := uint64(heavy*1000 + strangers*100); table.All().Used != want {
		t.Errorf("%d in all, want %d", table.All().Used, want)
	}
}

// TestHeavyUsersStay: whoever has used more than a sixteenth of all is there, whatever others use
// and in whatever order they come.
func TestHeavyUsersStay(t *testing.T) {
	const most, all = 32, 4000
	table := NewTable(noon, Limits{}, most, most, most)
	is := make(map[int]uint64)
	for n := range all {
		id := n * 7919 % (all / 2)
		p := payer(table, 1, id)
		was := p.edge.used
		more := uint64(n) * uint64(n) % 1009 * uint64(1+n%13*n%17)
		table.Add(p, more)
		is[id] = was + more
		for id, used := range is {
			if used*yielding <= table.All().Used {
				delete(is, id)
			} else if got := table.Edge([32]byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}).Used; got != used {
				t.Fatalf("%d has used %d of %d, and counts with %d", id, used, table.All().Used, got)
			}
		}
	}
	if table.All().Used == 0 || len(table.books[Edge].list) != most {
		t.Errorf("%d accounts, %d bytes", len(table.books[Edge].list), table.All().Used)
	}
}

// TestCountingAllocatesNothing: it is done for each packet.
func TestCountingAllocatesNothing(t *testing.T) {
	table := NewTable(noon, Limits{All: 1 << 40}.Defaults(), 10, 10, 10)
	table.keeps = true
	p := payer(table, 1, 1)
	table.Add(p, 1)
	if n := testing.AllocsPerRun(100, func() {
		if !table.Current(noon, p, p.from) || table.Over(p, 1) != None {
			t.Error("over a limit")
		}
		table.Add(p, 1400)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
