package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// inviting returns the commands of docs/supernode.md about invites, in their order.
func inviting(t *testing.T) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "supernode.md"))
	must(t, err)
	_, section, _ := strings.Cut(string(b), "\n## Letting people in by an invite\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if command, indented := strings.CutPrefix(line, "    "); indented {
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	return lines
}

// inviter is the host of a closed supernode, at which its operator types.
type inviter struct {
	*town
	super *rig.Program
}

// types types a command of the supernode and returns what it prints, without what it says
// beside that.
func (o *inviter) types(line string) string {
	o.t.Helper()
	command, rest, _ := strings.Cut(line, " ")
	if command != "supernode" {
		o.t.Fatalf("%q is no command of the supernode", line)
	}
	rest = strings.ReplaceAll(rest, "vps.example", superAddr)
	return o.sh(o.super.Host, programs.Supernode+" "+rest+" --control "+o.super.Socket+" 2>/dev/null")
}

// refused starts an edge that is not let in, and waits until it says so.
func (d *desk) refused(line string) {
	d.t.Helper()
	p := lab.Must(d.Run(d.ctx, d.host, d.host.Name(), filepath.Join(d.dir, "control"), "sh", "-c", d.shell("exec "+line)))
	d.watch(p)
	d.await(p, "[E23]")
	if strings.Contains(p.Log(), "ready") {
		d.t.Errorf("%s is let in", d.host.Name())
	}
}

// From an invite to the first ping, by the commands of docs/supernode.md: one string, and
// two commands on a machine with nothing. Who comes with an invite that was used, or has
// expired, is refused and reads why; so is who came by one that is taken back.
func TestInviteToFirstPing(t *testing.T) {
	t.Parallel()
	w := newQuietTown(t, 60*time.Second)
	o := &inviter{town: w, super: lab.Must(w.Rig.Supernode(w.ctx, lab.Must(w.Host("vps", superAddr)), "vps", "--mode", "closed"))}
	w.watch(o.super)
	w.await(o.super, "listening on")
	var desks []*desk
	for _, name := range []string{"first", "second", "third", "fourth"} {
		desks = append(desks, w.desk(lab.Must(w.Host(name, "203.0.113."+string(rune('2'+len(desks)))))))
	}
	first, second, third, fourth := desks[0], desks[1], desks[2], desks[3]
	first.types("edge keygen --community mynetwork -o mynetwork.keys")

	lines := inviting(t)
	if len(lines) != 6 {
		t.Fatalf("docs/supernode.md has the commands %q", lines)
	}
	invite, list, takeBack, addKeys, join, start := lines[0], lines[1], lines[2], lines[3], lines[4], lines[5]
	invited := func(more string) string {
		return first.types("echo '" + strings.TrimSpace(o.types(invite+more)) + "' | " + addKeys + " 2>/dev/null")
	}
	joins := func(d *desk, invite string) { d.types("echo '" + strings.TrimSpace(invite) + "' | " + join) }

	expired, made := invited(" --ttl 1s"), time.Now()
	joins(first, invited(""))
	first.starts(start)
	used := invited("")
	joins(second, used)
	second.starts(start)
	second.edge.meet(first.edge.addr(), answerWithin)

	joins(third, used)
	joins(fourth, expired)
	time.Sleep(time.Until(made.Add(2 * time.Second))) // its time is told in whole seconds
	third.refused(start)
	fourth.refused(start)
	said := o.types(list)
	if strings.Count(said, "1 of 1") != 2 || strings.Count(said, "0 of 1") != 1 || !strings.Contains(said, "expired") {
		t.Errorf("the invites are:\n%s", said)
	}
	id, _, _ := strings.Cut(strings.Split(said, "\n")[3], " ") // the last one, of the second edge
	if said := o.types(strings.Replace(takeBack, "0a1b2c3d", id, 1)); !strings.Contains(said, "registrations ended: 1") {
		t.Errorf("%s", said)
	}
	w.await(second.edge.Program, "[E23]")
	if strings.Contains(first.edge.Log(), "[E23]") {
		t.Error("the first edge is refused, too")
	}
}
