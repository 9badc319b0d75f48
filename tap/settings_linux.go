package tap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// ipv6Settings is where the kernel has its IPv6 settings of each interface.
const ipv6Settings = "/proc/sys/net/ipv6/conf"

// An ipv6Setting is one of them.
type ipv6Setting struct{ name, value string }

// quietSettings are those of an interface that speaks no IPv6 itself: no address,
// no router solicitations, no reports of groups. Frames of a port never reach the
// host's own IP, but what the host sends by it would reach every other edge.
var quietSettings = []ipv6Setting{
	{"disable_ipv6", "1"},
	{"accept_ra", "0"},
	{"addr_gen_mode", "1"}, // none
}

// deafSettings are those of an interface by which no router is heard. The kernel hears
// all by default, and any host of an overlay could become the router of all others.
var deafSettings = []ipv6Setting{{"accept_ra", "0"}}

// Settings of an interface by which routers are heard, also by a host that forwards. The
// default route that they announce has the highest metric: it is used where there is no
// other one, so that it does not take the underlay away from the overlay. Linux before
// 5.12 cannot give it one, and takes none.
var (
	hearSettings       = []ipv6Setting{{"accept_ra", "2"}, {"ra_defrtr_metric", "65536"}}
	hearWithoutDefault = []ipv6Setting{{"accept_ra", "2"}, {"accept_ra_defrtr", "0"}}
)

// hasSetting reports whether the kernel has a setting for an interface.
func hasSetting(ifname, name string) bool {
	_, err := os.Stat(filepath.Join(ipv6Settings, ifname, name))
	return err == nil
}

// routerSettings are those that say whether routers are heard.
func routerSettings(ifname string, heard bool) []ipv6Setting {
	switch {
	case !heard:
		return deafSettings
	case hasSetting(ifname, "ra_defrtr_metric"):
		return hearSettings
	}
	return hearWithoutDefault
}

// withoutIPv6 reports whether IPv6 is switched off on an interface, as in containers.
func withoutIPv6(ifname string) bool {
	off, err := os.ReadFile(filepath.Join(ipv6Settings, ifname, "disable_ipv6"))
	return err == nil && strings.TrimSpace(string(off)) == "1"
}

// applySettings gives an interface its settings, and returns what to restore: what was set before,
// or the default where an edge that was killed has left it so. A machine without IPv6 has
// none of the settings.
func applySettings(ifname string, list []ipv6Setting, killed bool) (before []ipv6Setting, err error) {
	for _, s := range list {
		path := filepath.Join(ipv6Settings, ifname, s.name)
		old, readErr := os.ReadFile(path)
		if errors.Is(readErr, os.ErrNotExist) {
			continue
		}
		got := strings.TrimSpace(string(old))
		if got != s.value {
			if writeErr := os.WriteFile(path, []byte(s.value), 0); writeErr != nil {
				err = errors.Join(err, writeErr)
				continue
			}
			before = append(before, ipv6Setting{s.name, got})
		} else if usual, readErr := os.ReadFile(filepath.Join(ipv6Settings, "default", s.name)); killed && readErr == nil {
			before = append(before, ipv6Setting{s.name, strings.TrimSpace(string(usual))})
		}
	}
	return before, err
}

// restoreSettings restores what applySettings changed; it is best effort, at the end.
func restoreSettings(ifname string, before []ipv6Setting) {
	for _, s := range before {
		_ = os.WriteFile(filepath.Join(ipv6Settings, ifname, s.name), []byte(s.value), 0)
	}
}
