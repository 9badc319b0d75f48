package integration

import (
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// Members of one LAN find each other while no supernode answers: those that knew
// each other go on, and one that starts then is found by the link alone.
func TestLANWithoutSupernode(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	router := lab.Must(w.Router("home", "198.51.100.1", lab.PortRestricted))
	left := w.join(lab.Must(router.Host("left")), overIPv4)
	right := w.join(lab.Must(router.Host("right")), overIPv4)
	left.addr()
	to := right.addr()
	left.meet(to, 5*time.Second)
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)
	if err := w.super.Kill(); err != nil {
		t.Fatal(err)
	}
	left.meet(to, 2*time.Second)

	// It has never heard of anybody, and nobody tells it or leases it an address:
	// the one of its identity has to do.
	begun := time.Now()
	late := w.join(lab.Must(router.Host("late")), overIPv4)
	late.meet(left.addr6(), 40*time.Second)
	late.reach(left, control.PathDirect)
	t.Logf("a newcomer reached a member %v after its start", time.Since(begun))
}

// Members behind routers of their own that never spoke find each other while no
// supernode answers, through one that both speak with.
func TestThirdMemberInsteadOfSupernode(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	var members [3]*member
	for i, name := range []string{"left", "right", "third"} {
		members[i] = w.join(w.home(name, i+1, lab.PortRestricted), overIPv4)
		members[i].addr()
	}
	left, right, third := members[0], members[1], members[2]
	for _, m := range []*member{left, right} {
		m.meet(third.addr(), answerWithin)
		m.reach(third, control.PathDirect)
		third.reach(m, control.PathDirect)
	}
	if p := left.path(right); p == control.PathDirect {
		t.Fatal("they are direct already")
	}
	to := right.addr()
	if err := w.super.Kill(); err != nil {
		t.Fatal(err)
	}
	w.await(left.Program, "no longer answers")
	w.await(right.Program, "no longer answers")
	took := left.meet(to, 20*time.Second)
	left.reach(right, control.PathDirect)
	right.reach(left, control.PathDirect)
	t.Logf("the first ping was answered after %v", took)
}
