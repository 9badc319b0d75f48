package tap

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A mend is a thing that the watch sets right. They are in the order in which they
// are done: a port with too small an MTU would shrink its bridge's.
type mend uint8

const (
	mendMAC mend = iota
	mendMTU
	mendJoin
	mendUp
	mendAddress
	mends
)

// Bounds of mending: two programs that want different things must not undo each
// other's work for ever.
const (
	mendMost   = 5                // of a kind in mendWithin
	mendWithin = time.Minute      //
	mendShown  = 10 * time.Minute // how long the user is told of one
)

// A vigil judges what the watch sees, and remembers what it mended. It has no
// clock, and asks nobody.
type vigil struct {
	name  string // of the interface when it was opened
	mac   [6]byte
	mtu   int // that the interface is to have
	fixed bool
	most  int
	port  Port
	link  bool
	gone  bool // the bridge, at the last look
	repairs
}

// repairs are the mends of the last minutes.
type repairs [mends]struct {
	at    [mendMost]time.Time // the last ones, in a ring
	next  int
	text  string // what happened last
	fault string // why the last one failed; empty: it did not
}

// may reports whether a thing may be mended once more, and counts that.
func (r *repairs) may(now time.Time, m mend) bool {
	k := &r[m]
	if oldest := k.at[k.next]; !oldest.IsZero() && now.Sub(oldest) < mendWithin {
		return false
	}
	k.at[k.next] = now
	k.next = (k.next + 1) % mendMost
	return true
}

// last returns when a thing was mended last.
func (r *repairs) last(m mend) time.Time {
	return r[m].at[(r[m].next+mendMost-1)%mendMost]
}

// notes returns what was mended lately, and what could not be.
func (r *repairs) notes(now time.Time) (list []string) {
	for m := range r {
		k := &r[m]
		switch at := r.last(mend(m)); {
		case at.IsZero() || now.Sub(at) >= mendShown:
		case k.fault != "":
			list = append(list, changed("%s, and that cannot be set right: %s.", k.text, k.fault))
		default:
			list = append(list, changed("%s at %s and was set right.", k.text, at.Format(time.TimeOnly)))
		}
	}
	return list
}

// changed is E32: somebody changed the device or its bridge.
func changed(format string, args ...any) string { return fmt.Sprintf(format, args...) + " [E32]" }

// look judges a sight. It returns what to mend now, in this order, and what is
// wrong besides.
func (v *vigil) look(now time.Time, s *sight) (do []mend, notes []string) {
	if s.deleted {
		return nil, []string{changed("%s was deleted by another program: start the edge again.", v.name)}
	}
	if s.device == nil {
		return nil, []string{changed("%s is in another network namespace now: its frames come and go there, and nothing here can be done about it. Bring it back from there (ip link set %[1]s netns 1), or start the edge again.", v.name)}
	}
	d := s.device
	if d.name != v.name {
		notes = append(notes, changed("%s was renamed to %s. The edge goes on with it; type: ip link set %[2]s down; ip link set %[2]s name %[1]s.", v.name, d.name))
	}
	fix := func(m mend, what string, args ...any) {
		text := fmt.Sprintf(what, args...)
		if v.may(now, m) {
			v.repairs[m].text = text
			do = append(do, m)
			return
		}
		notes = append(notes, changed("%s again and again: find out by whom (ip monitor link), and end it.", text))
	}
	if d.mac != v.mac {
		fix(mendMAC, "%s was given the MAC %s by another program", d.name, macString(d.mac))
	}
	notes = append(notes, v.judgeMTU(s, fix)...)
	if v.port.Bridge == "" {
		notes = append(notes, v.judgePlain(s)...)
	} else {
		notes = append(notes, v.judgePort(s, fix)...)
	}
	switch {
	case !d.up && v.link:
		notes = append(notes, changed("%s was set down by another program: it carries nothing. Type: ip link set %[1]s up.", d.name))
	case !d.up:
		fix(mendUp, "%s was set down by another program", d.name)
	case len(s.missing) > 0:
		fix(mendAddress, "the address %s was taken from %s by another program", listed(s.missing), s.holder(v.port))
	}
	return do, notes
}

// listed writes addresses with commas between them.
func listed(list []netip.Prefix) string {
	var b strings.Builder
	for i, p := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// holder names the interface that has the addresses.
func (s *sight) holder(p Port) string {
	if p.Bridge != "" && s.bridge != nil {
		return s.bridge.name
	}
	return s.device.name
}

// judgeMTU compares the interface's MTU with the one that it is to have. That of a
// port follows its segment; one that a user changed on a plain device stays, since
// he may have a reason.
func (v *vigil) judgeMTU(s *sight, fix func(mend, string, ...any)) []string {
	d := s.device
	if v.port.Bridge == "" {
		if d.mtu != v.mtu {
			return []string{changed("%s has an MTU of %d now and was opened with %d. Type: ip link set %[1]s mtu %[3]d, or start the edge with -M %[2]d.", d.name, d.mtu, v.mtu)}
		}
		return nil
	}
	if s.bridge != nil {
		want := max(segmentMTU(*s.bridge, s.ports), leastMTU)
		switch {
		case v.fixed && want > v.mtu:
			return []string{changed("the hosts of %s may send %d bytes now, and %s was started with -M %d: longer frames vanish without a word. Start the edge without -M.", s.bridge.name, want, d.name, v.mtu)}
		case !v.fixed && want != v.mtu && want <= v.most:
			v.mtu = want
			if d.mtu != want {
				fix(mendMTU, "the hosts of %s may send %d bytes now: the MTU of %s was %d", s.bridge.name, want, d.name, d.mtu)
			}
			return nil
		}
	}
	if d.mtu != v.mtu {
		fix(mendMTU, "%s was given an MTU of %d by another program", d.name, d.mtu)
	}
	return nil
}

// judgePlain judges a device that the user did not mean to be a port.
func (v *vigil) judgePlain(s *sight) []string {
	if s.master == nil || s.master.kind != bridgeKind {
		return nil
	}
	if v.link {
		return []string{changed("%s was made a port of %s by another program: a link carries frames of its own two ends alone, and none of hosts behind it. Take it out: ip link set %[1]s nomaster.", s.device.name, s.master.name)}
	}
	return []string{changed("%s was made a port of %s by another program: the other members drop the frames of hosts behind it, since this edge was not started as a bridge. Start it with --bridge %[2]s, or take it out: ip link set %[1]s nomaster.", s.device.name, s.master.name)}
}

// judgePort judges a device that is to be a port.
func (v *vigil) judgePort(s *sight, fix func(mend, string, ...any)) (notes []string) {
	d := s.device
	switch {
	case s.master != nil && (s.bridge == nil || s.master.index != s.bridge.index):
		// Whoever did that wants something; there is no undoing it without undoing his.
		return []string{changed("%s is a port of %s now and not of %s. Type: ip link set %[1]s master %[3]s, or start the edge with --bridge %[2]s.", d.name, s.master.name, v.port.Bridge)}
	case s.bridge == nil:
		v.gone = true
		return []string{changed("the bridge %s is gone: hosts behind it are cut off. The edge joins it when it is there again: ip link add %[1]s type bridge; ip link set %[1]s up.", v.port.Bridge)}
	case s.master == nil && v.gone:
		fix(mendJoin, "the bridge %s was deleted and made again by another program", s.bridge.name)
	case s.master == nil:
		fix(mendJoin, "%s was taken out of %s by another program", d.name, s.bridge.name)
	}
	v.gone = false
	if s.bridge.name != v.port.Bridge {
		notes = append(notes, changed("the bridge %s was renamed to %s. The edge goes on with it; its next start needs --bridge %[2]s.", v.port.Bridge, s.bridge.name))
	}
	return append(notes, s.obstacles(v.most)...)
}
