package attack

import (
	"context"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
)

// A host whose own firewall lets nothing out is told so: the supernode's is not to blame.
func TestOwnFirewall(t *testing.T) {
	nft := lab.Program(t, "nft", "nftables")
	h := lab.Must(newLab(t).Host("h", "203.0.113.11"))
	const rules = "add table inet fw; add chain inet fw out { type filter hook output priority 0; }; add rule inet fw out udp dport 7654 drop"
	if out, err := h.Command(context.Background(), nft, rules).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := confinement{at: h}.start(t, edgeArgs(open(t), "-l", "203.0.113.7:7654")...)
	await(t, &p.said, "warning: this host's own firewall lets nothing out to 203.0.113.7:7654 over UDP: look at its rules for what is sent", 2*soon)
	stop(t, p)
}

// readOnlySettings makes the kernel's settings read-only, as container engines do.
func readOnlySettings() error {
	if err := unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// In a container the kernel's settings are read-only: the edge starts all the same, and
// says what whoever starts the container may set; with IPv6 off there is nothing to say.
func TestReadOnlySettings(t *testing.T) {
	l := newLab(t)
	for name, tt := range map[string]struct {
		off  string // disable_ipv6 of new devices
		says bool
	}{"ipv6": {"0", true}, "ipv4": {"1", false}} {
		h := lab.Must(l.Host(name, map[string]string{"ipv6": "203.0.113.11", "ipv4": "203.0.113.12"}[name]))
		for _, setting := range []string{"disable_ipv6", "accept_ra"} {
			value := map[string]string{"disable_ipv6": tt.off, "accept_ra": "1"}[setting]
			if err := h.Sysctl("net/ipv6/conf/default/"+setting, value); err != nil {
				t.Fatal(err)
			}
		}
		p := confinement{at: h, mounts: readOnlySettings}.start(t, edgeArgs(open(t), "-l", "203.0.113.7:7654", "-a", "static:10.9.8.7/24")...)
		await(t, &p.said, "no answer from 203.0.113.7:7654 over UDP", 2*soon)
		if got := strings.Contains(p.said.String(), "docker run --sysctl net.ipv6.conf.default.accept_ra=0"); got != tt.says {
			t.Errorf("%s: %s", name, p.said.String())
		}
		stop(t, p)
	}
}

// stop ends an edge that has gone on until now.
func stop(t *testing.T, p *confined) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("it does not go on: %v", err)
	}
	if said, code := p.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, said)
	}
}
