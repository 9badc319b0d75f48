package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/integration/lab"
)

// nobody is a user without rights, as whom a line without sudo is typed.
const nobody = "65534"

// fiveMinutes returns the commands of README.md under "Five minutes", without what is said
// behind them.
func fiveMinutes(t *testing.T) (lines []string) {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	must(t, err)
	_, section, _ := strings.Cut(string(b), "\n## Five minutes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if command, indented := strings.CutPrefix(line, "    "); indented {
			command, _, _ = strings.Cut(command, " #")
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	return lines
}

// asNobody starts a command of ours as a user without rights, who has a folder of his own.
func (w *town) asNobody(h *lab.Host, line string) {
	w.t.Helper()
	home := lab.Must(os.MkdirTemp("", "hedgerow-nobody-"))
	w.t.Cleanup(func() { must(w.t, os.RemoveAll(home)) })
	w.sh(h, "chown "+nobody+" "+home)
	shell := "PATH=" + filepath.Dir(programs.Edge) + ":$PATH HOME=" + home + " exec setpriv --reuid " + nobody + " --regid " + nobody + " --clear-groups " + line
	p := lab.Must(w.Run(w.ctx, h, h.Name(), "", "sh", "-c", shell))
	w.watch(p)
	w.await(p, "pin it with -l HOST:7654#")
}

// The first steps of README.md, typed as they stand there: a line with sudo by root, one
// without by a user who has no rights. A supernode leaves an edge of its host the port that
// it needs to find others on the LAN.
func TestFiveMinutes(t *testing.T) {
	t.Parallel()
	w := newQuietTown(t, 60*time.Second)
	vps := lab.Must(w.Host("vps", superAddr))
	first, second := w.desk(w.home("first", 1, lab.PortRestricted)), w.desk(w.home("second", 2, lab.PortRestricted))
	beside := w.desk(vps)
	typed := map[string]int{}
	for _, line := range fiveMinutes(t) {
		command, root := strings.CutPrefix(line, "sudo ")
		words := strings.Fields(command)
		typed[strings.Join(words[:2], " ")]++
		switch {
		case words[0] == "make": // what it builds and installs, TestMain builds
		case !root:
			w.asNobody(vps, line)
		case words[1] == "keygen":
			first.types(command)
			for _, d := range []*desk{second, beside} {
				w.sh(d.host, "cp "+first.dir+"/*.keys "+d.dir)
			}
		case strings.HasPrefix(words[1], "-"):
			for _, d := range []*desk{first, second, beside} {
				d.starts(command)
				if said := d.edge.Log(); strings.Contains(said, "members on the same LAN") {
					t.Errorf("%s finds nobody on its LAN:\n%s", d.host.Name(), said)
				}
			}
			first.edge.learns(second.edge)
		default:
			first.types(strings.Replace(command, "PEER", second.edge.addr().String()+" -c 1", 1))
		}
	}
	for _, command := range []string{"supernode -p", "edge keygen", "edge --community-file", "edge -c", "edge status", "edge ping"} {
		if typed[command] != 1 {
			t.Errorf("README.md has %q %d times", command, typed[command])
		}
	}
}
