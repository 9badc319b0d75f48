package stack

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"hedgerow/integration/lab"
)

// A router that speaks BGP has a million routes: to look at a bridge of containers costs
// nothing for those that are by other interfaces.
func TestManyRoutes(t *testing.T) {
	h := lab.Must(lab.ForTest(t).Island("router"))
	batch := func(commands ...string) error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ip: %w: %s", err, out)
		}
		return nil
	}
	err := h.Do(func() error {
		err := batch("link add eth1 type veth peer name far", "link set eth1 up", "link set far up",
			"link add switch type bridge", "link set far master switch",
			"addr add 192.0.2.1/24 dev eth1", "route add default via 192.0.2.2",
			"link add docker0 type bridge", "link set docker0 up",
			"link add lan type bridge", "link set lan up", "addr add 198.51.100.1/24 dev lan",
			"route add default metric 9 nexthop via 192.0.2.2 nexthop via 198.51.100.2")
		if err != nil {
			return err
		}
		cost := func() float64 {
			return testing.AllocsPerRun(3, func() {
				if s := New(1 << 30); !s.Inner("docker0") || s.Inner("lan") {
					t.Error("docker0 is not inner, or lan is, by which a default route leaves")
				}
			})
		}
		few := cost()
		var routes []string
		for i := range 2000 {
			routes = append(routes, fmt.Sprintf("route add 10.%d.%d.0/24 via 192.0.2.3", i/250, i%250))
		}
		if err := batch(routes...); err != nil {
			return err
		}
		many := cost()
		t.Logf("%v allocations without other routes, %v with 2000", few, many)
		if many > few+200 {
			t.Errorf("%v allocations without other routes, %v with 2000", few, many)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
