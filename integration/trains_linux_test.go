package integration

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// The host's network loses what is longer than one packet before it is cut apart, as
// drivers and virtual machines have done. The edge notices, says so once, and a transfer
// that begins then is carried by datagrams that leave alone; the other edge goes on with
// trains.
func TestTrainsAreLost(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	left := w.join(lab.Must(w.Host("left", "198.51.100.1")), overIPv4)
	right := w.join(lab.Must(w.Host("right", "198.51.100.2")), overIPv4)
	left.meet(right.addr(), answerWithin)
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)
	w.sh(left.Host, `nft 'add table inet card; add chain inet card out { type filter hook output priority 0; };
		add rule inet card out oifname eth0 meta l4proto udp meta length > 1500 counter drop'`)
	from := lab.Must(left.Host.ListenUDP("udp4", netip.AddrPortFrom(left.addr(), 0).String()))
	defer from.Close()
	for range 100 { // a path that carries little is not checked
		lab.Must(from.WriteToUDPAddrPort(random(1200), netip.AddrPortFrom(right.addr(), 9)))
		time.Sleep(20 * time.Millisecond)
	}
	w.await(left.Program, "packets that leave many at a time are lost")
	before := left.trainsOut()
	w.carries(left, right, 10<<20, 20*time.Second)
	w.carries(right, left, 10<<20, 20*time.Second)
	if n := left.trainsOut() - before; n > 20 { // some go to the supernode
		t.Errorf("%d trains left after that", n)
	}
	if right.trainsOut() == 0 {
		t.Error("the other edge sends no trains")
	}
	if n := strings.Count(left.Log(), "many at a time are lost"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if reason := left.reach(right, control.PathDirect).Reason; !strings.Contains(reason, "one by one") {
		t.Errorf("the list of peers says %q", reason)
	}
}

// trainsOut returns how many trains the edge has sent.
func (m *member) trainsOut() (n uint64) {
	m.town.t.Helper()
	c, err := m.town.Counters(m.town.ctx, m.Program)
	if err != nil {
		m.town.t.Fatal(err)
	}
	for _, q := range c.Queues {
		n += q.Datagrams.TrainsOut
	}
	return n
}
