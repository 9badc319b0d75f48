package fair

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sender is a member that sends packets of a size at a rate.
type sender struct {
	group      *Group
	member     Member
	rate, size float64 // in units a second
	got        float64
	refused    int
	next       time.Duration
}

// settle is how long senders send before what passes is counted: what a line lets pass at
// once at the beginning is no part of its rate.
const settle = time.Second

// run has senders send by a line, each packet at its moment, and counts for a time.
func run(l *Line, lasts time.Duration, senders []*sender) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, s := range senders {
		s.next = time.Duration(random.Float64() * s.size / s.rate * float64(time.Second))
	}
	const tick = 100 * time.Microsecond
	for at := time.Duration(0); at < settle+lasts; at += tick {
		random.Shuffle(len(senders), func(i, j int) { senders[i], senders[j] = senders[j], senders[i] })
		for _, s := range senders {
			for ; s.next < at; s.next += time.Duration(s.size / s.rate * float64(time.Second)) {
				switch passes := l.Take(noon.Add(at), s.group, &s.member, s.size); {
				case !passes:
					s.refused++
				case at >= settle:
					s.got += s.size
				}
			}
		}
	}
}

// line returns a line of so much a second.
func line(rate float64) *Line {
	return &Line{Rate: rate, Most: max(rate/20, 256<<10), Small: 256}
}

func sum(senders []*sender) (got float64) {
	for _, s := range senders {
		got += s.got
	}
	return got
}

// near fails the test unless a value is within a part of what is wanted.
func near(t *testing.T, what string, got, want, part float64) {
	t.Helper()
	if math.Abs(got-want) > part*want {
		t.Errorf("%s: %.0f, want %.0f", what, got, want)
	}
}

// A community with a hundred greedy pairs and one with a single pair have half of the line
// each, whoever sends how much too much; and each member of the first one a hundredth of it.
func TestHalves(t *testing.T) {
	for _, rate := range []float64{1e6, 1e7, 1e8} {
		var many, one Group
		lone := &sender{group: &one, rate: rate, size: 1400}
		var greedy []*sender
		for i := range 100 {
			greedy = append(greedy, &sender{group: &many, rate: rate / 50 * (1 + float64(i%10)), size: 1400})
		}
		lasts := time.Duration(math.Sqrt(1e6/rate) * float64(5*time.Second)) // of few packets for longer
		l := line(rate)
		run(l, lasts, append([]*sender{lone}, greedy...))
		near(t, "the single pair", lone.got, rate*lasts.Seconds()/2, 0.1)
		near(t, "the others together", sum(greedy), rate*lasts.Seconds()/2, 0.1)
		for _, s := range greedy {
			near(t, "one of them", s.got, sum(greedy)/100, 0.2)
		}
	}
}

// Who wants less than an equal part gets all that it wants, and the others share the rest.
func TestMaxMin(t *testing.T) {
	const rate = 1e7
	groups := make([]Group, 4)
	senders := []*sender{
		{group: &groups[0], rate: rate / 10, size: 1000}, {group: &groups[1], rate: rate / 5, size: 1000},
		{group: &groups[2], rate: rate, size: 1000}, {group: &groups[3], rate: 3 * rate, size: 1000},
	}
	list := append([]*sender(nil), senders...)
	const lasts = time.Second
	run(line(rate), lasts, list)
	for _, s := range senders[:2] {
		if s.refused > 0 {
			t.Errorf("%d packets of one who sends %.0f a second are refused", s.refused, s.rate)
		}
	}
	for _, s := range senders[2:] {
		near(t, "a greedy one", s.got, 0.35*rate*lasts.Seconds(), 0.05)
	}
}

// A line that is not full refuses nothing, also of bursts.
func TestRoom(t *testing.T) {
	const rate = 1e7
	var senders []*sender
	groups := make([]Group, 5)
	for i := range 50 {
		senders = append(senders, &sender{group: &groups[i%5], rate: rate / 55, size: 1400})
	}
	l := line(rate)
	run(l, time.Second, senders)
	for _, s := range senders {
		if s.refused > 0 {
			t.Fatalf("%d packets are refused", s.refused)
		}
	}
	var g Group
	var m Member
	for range 100 { // 140 kB at once
		if !l.Take(noon.Add(3*time.Second), &g, &m, 1400) {
			t.Fatal("a burst is refused")
		}
	}
}

// Pings are not lost: neither those of a member beside greedy ones of its community, nor
// those that a greedy member sends among its own large packets.
func TestPings(t *testing.T) {
	const rate = 1e7
	var g, other Group
	quiet := &sender{group: &g, rate: 100 * 20, size: 100}
	own := &sender{group: &g, rate: 100 * 20, size: 100}
	senders := []*sender{quiet}
	for range 20 {
		senders = append(senders, &sender{group: &g, rate: rate, size: 1400}, &sender{group: &other, rate: rate, size: 1400})
	}
	mixed := senders[len(senders)-1]
	own.group = mixed.group
	l := line(rate)
	random := rand.New(rand.NewPCG(1, 3))
	for at := range 20000 { // 2 s
		now := noon.Add(time.Duration(at) * 100 * time.Microsecond)
		random.Shuffle(len(senders), func(i, j int) { senders[i], senders[j] = senders[j], senders[i] })
		for _, s := range senders {
			if s != quiet && !l.Take(now, s.group, &s.member, s.size) {
				s.refused++
			}
		}
		if at%100 == 0 && !l.Take(now, quiet.group, &quiet.member, quiet.size) {
			quiet.refused++
		}
		if at%100 == 50 && !l.Take(now, own.group, &mixed.member, own.size) {
			own.refused++
		}
	}
	if mixed.refused == 0 {
		t.Fatal("the line is not full: it proves nothing")
	}
	if quiet.refused > 0 || own.refused > 0 {
		t.Errorf("of 200 pings each, %d of a quiet member and %d of a greedy one are refused", quiet.refused, own.refused)
	}
}

// Copies count, and one flood passes whatever number of copies it has.
func TestCopies(t *testing.T) {
	const rate = 1e6
	var g, other Group
	var flooder, m Member
	l := line(rate)
	copies, sent := 0, 0
	for at := range 20000 { // 2 s
		now := noon.Add(time.Duration(at) * 100 * time.Microsecond)
		if l.Take(now, &g, &flooder, 100) {
			l.Add(&g, &flooder, 999*100)
			copies += 1000
		}
		if l.Take(now, &other, &m, 100) {
			sent++
		}
	}
	if copies == 0 {
		t.Error("no flood passes")
	}
	near(t, "bytes of floods", float64(copies*100), rate, 0.25) // half of what passes in 2 s
	near(t, "bytes of the other", float64(sent*100), rate, 0.1)
}

// What many members of one community can have ahead is bounded, and takes nothing from
// another one.
func TestManyMembers(t *testing.T) {
	const rate = 1e6
	var crowd, one Group
	members := make([]Member, 20000)
	var lone Member
	l := line(rate)
	got, burst := 0.0, 0.0
	for at := range 10000 { // 1 s
		now := noon.Add(time.Duration(at) * 100 * time.Microsecond)
		for i := range 20 {
			if l.Take(now, &crowd, &members[at*20%len(members)+i], 1400) && at < 100 {
				burst += 1400
			}
		}
		if l.Take(now, &one, &lone, 1400) {
			got += 1400
		}
	}
	near(t, "beside 20 000 members", got, rate/2, 0.25)
	if burst > 3*l.Most {
		t.Errorf("%.0f bytes have passed at once", burst)
	}
}

// A line forgets who sends no more, and a clock that is set back changes nothing for good.
func TestForgets(t *testing.T) {
	var g Group
	var a, b Member
	l := line(1e6)
	for l.Take(noon, &g, &a, 1400) {
	}
	for l.Take(noon, &g, &b, 1400) {
	}
	if len(l.groups) != 1 || len(g.members) != 2 || l.members != 2 || l.Share(&g) != 5e5 {
		t.Fatalf("%+v, %+v", l, g)
	}
	l.Take(noon.Add(-time.Hour), &g, &a, 1400)
	if !l.Take(noon.Add(-time.Hour+10*time.Second), &g, &a, 1400) || len(g.members) != 1 || b != (Member{}) {
		t.Errorf("10 s later: %+v, %+v", l, g)
	}
	l.shrink(noon.Add(time.Hour).UnixNano())
	if len(l.groups) != 0 || l.backlog != 0 || l.members != 0 || g.backlog != 0 || g.place != 0 || a != (Member{}) {
		t.Errorf("an hour later: %+v, %+v", l, g)
	}
}

func TestLevel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 4))
	for range 1000 {
		has := make([]float64, 1+random.IntN(200))
		all := 0.0
		for i := range has {
			has[i] = math.Exp(6 * random.Float64())
			all += has[i]
		}
		amount := all * random.Float64()
		each, taken := level(amount, len(has), func(i int) float64 { return has[i] }), 0.0
		for _, h := range has {
			taken += min(h, each)
		}
		if taken > amount*1.0001 || taken < amount*0.98 {
			t.Fatalf("%.1f of %.1f are taken from %d", taken, amount, len(has))
		}
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	var g Group
	members := make([]Member, 10)
	l := line(1e6)
	now := noon
	take := func() {
		for i := range members {
			l.Take(now, &g, &members[i], 1400)
		}
		now = now.Add(time.Millisecond)
	}
	take()
	if n := testing.AllocsPerRun(100, take); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTake is what a packet costs on a line with so many senders.
func BenchmarkTake(b *testing.B) {
	groups := make([]Group, 100)
	members := make([]Member, 1000)
	l := line(1e9)
	now := noon
	b.ReportAllocs()
	for i := range b.N {
		m := i * 7919 % len(members)
		l.Take(now, &groups[m%len(groups)], &members[m], 1400)
		now = now.Add(time.Microsecond)
	}
}
