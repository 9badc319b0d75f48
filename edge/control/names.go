package control

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Unresolved says that a supernode's name cannot be looked up, and why: E54 if no name
// server has answered, otherwise E10. last is the address that is used meanwhile; not
// valid: none is known. err may be nil.
func Unresolved(supernode string, err error, last netip.AddrPort) string {
	host, port, bad := net.SplitHostPort(supernode)
	if bad != nil {
		host, port = supernode, "PORT"
	}
	meanwhile := fmt.Sprintf("-l ADDRESS:%s needs no name server", port)
	if last.IsValid() {
		meanwhile = fmt.Sprintf("the last good address %s is used meanwhile", last.Addr())
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsTimeout {
		server := "any name server"
		if dns.Server != "" {
			server = "the name server " + dns.Server
		}
		return fmt.Sprintf("no answer from %s about %s: look at the network, and at the name servers of this machine ('resolvectl status', /etc/resolv.conf). Trying on; %s. [E54]", server, host, meanwhile)
	}
	return fmt.Sprintf("cannot resolve %s: %s. Trying on; %s. [E10]", host, unresolvedReason(err), meanwhile)
}

// NameMoved says that a supernode's name stands for another host now than the one where
// it led before, at before, which still answers (E53).
func NameMoved(supernode string, now, before netip.AddrPort) string {
	return fmt.Sprintf("%s now stands for %s: registering there as well, and %s is used as long as it answers. If that is an old supernode, stop it; if no supernode is at the new address, mend the name. [E53]",
		supernode, now.Addr(), before.Addr())
}

// Redirected says that a supernode has named the place where it is found from now on, and
// whether we use it there.
func Redirected(supernode, place string, there bool) string {
	if there {
		return fmt.Sprintf("%s has moved to %s, and is used there: type -l %[2]s, or correct the configuration, so that the next edge finds it as well.", supernode, place)
	}
	return fmt.Sprintf("%s says that it moves to %s: registering there as well, if it has the same key, and where it is as long as it answers. Then type -l %[2]s, or correct the configuration.", supernode, place)
}

// Rotated says that a supernode has another key. typed: the one before was typed.
func Rotated(supernode string, key [32]byte, typed bool) string {
	text := fmt.Sprintf("%s has a new key, %s, in the place of the one before, and is known by it from now on", supernode, base64.RawURLEncoding.EncodeToString(key[:]))
	if typed {
		text += fmt.Sprintf(": type -l %s#%s, or correct the configuration, so that the next edge knows it as well", supernode, base64.RawURLEncoding.EncodeToString(key[:]))
	}
	return text + "."
}

// OtherKey says that a supernode shows another key than it is known by, and is not used. typed:
// that one was typed or came by an invite; before: it has taken the place of the one that is
// shown.
func OtherKey(supernode string, key [32]byte, typed, before bool) string {
	shown := base64.RawURLEncoding.EncodeToString(key[:])
	if before {
		return fmt.Sprintf("%s shows the key that it had before (%s): not registering there. If its operator has restored a backup of before, ask him to type 'supernode rotate-key' there, and type -l %[1]s#KEY with the key that it prints; otherwise somebody has that key who stands between.", supernode, shown)
	}
	than := "trusted so far"
	if typed {
		than = "that was typed or came by an invite"
	}
	return fmt.Sprintf("%[1]s shows another key (%[2]s) than the one %[3]s: not registering there. If that is what 'supernode id' prints there, as after 'supernode rotate-key', type -l %[1]s#%[2]s; otherwise somebody stands between.", supernode, shown, than)
}

// NotRedirected says that a place that a supernode has named is not tried any more.
func NotRedirected(supernode, place string) string {
	return fmt.Sprintf("%s is not looked for at %s any more: it is where it was.", supernode, place)
}

// NoFamily says that a supernode has addresses of one IP version alone, 4 or 6, for which
// this host has neither a route nor a NAT64 (E55).
func NoFamily(supernode string, version int) string {
	if version == 4 {
		return supernode + " has an IPv4 address alone, and this host has no IPv4, its network no NAT64: give the supernode an IPv6 address, or the network a NAT64 that DNS64 or router advertisements tell of. [E55]"
	}
	return supernode + " has an IPv6 address alone, and this host has no IPv6: give the supernode an IPv4 address, or name another one with -l. [E55]"
}

// unresolvedReason puts the answer of a name server into words.
func unresolvedReason(err error) string {
	var dns *net.DNSError
	switch {
	case err == nil:
		return "no answer"
	case !errors.As(err, &dns):
		return err.Error()
	}
	reason := dns.Err
	if dns.IsNotFound {
		reason = "NXDOMAIN"
	}
	if dns.Server == "" {
		return reason
	}
	if host, _, err := net.SplitHostPort(dns.Server); err == nil {
		return reason + " from " + host
	}
	return reason + " from " + dns.Server
}
