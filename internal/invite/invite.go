// Package invite writes and reads the one string that lets a machine into a community:
//
//	edge://NAME@HOST:PORT/?pin=KEY&also=HOST:PORT~KEY#keys=KEYS&obfs=KEY&token=TOKEN
//
// It is a URL (RFC 3986). Before the # stands what anybody may see: the community's name,
// its supernodes, and the static key by which each is known. Behind it stands what lets
// its holder in, and the fragment of a URL is the part that no program sends to a server:
// for each supernode the token that it has given and its obfuscation key, and the keys of the
// community. A
// supernode, which has no keys of a community, makes the string without them; a member
// adds them.
//
// A string comes from anywhere, so Parse checks each of its parts, and its errors repeat
// nothing that may be secret.
package invite

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

const (
	// TokenLen is the size of a token in bytes. It is random, so nobody guesses one.
	TokenLen = 16
	// DefaultPort is the UDP port of a supernode whose port is not named: n2n's.
	DefaultPort = 7654
	// MaxText is the size in bytes of the longest string that Parse reads.
	MaxText = 64 << 10
)

// Token is what a supernode gives to whoever it invites.
type Token [TokenLen]byte

// ObfsKey is the obfuscation key of a supernode, of crypto.MaxObfsKey bytes at most.
type ObfsKey []byte

// Supernode is one supernode of an invite.
type Supernode struct {
	Host  string   // a DNS name or an IP address
	Port  uint16   // UDP
	Key   [32]byte // its X25519 static key, which the edge pins
	Token Token    // that it gave; zero: none
	Obfs  ObfsKey  // its obfuscation key; nil: it has none
}

// Place returns HOST:PORT, with brackets around an IPv6 address.
func (s Supernode) Place() string {
	return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port)))
}

// Invite is what an invite says.
type Invite struct {
	Name       string            // of the community
	Supernodes []Supernode       // at least one
	Keys       *crypto.Community // of the community; nil: a member has not added them yet
}

// Errors of an invite.
var (
	errNoInvite   = errors.New("this is no invite: one begins with edge:// and is printed by 'supernode invite' or 'edge invite'")
	errLong       = fmt.Errorf("the invite is longer than %d bytes, so it is not what it should be: copy it again", MaxText)
	errCut        = errors.New("the invite is damaged: copy it again, whole, from edge:// to its end")
	errPin        = errors.New("the key of a supernode in the invite is damaged: copy the invite again, whole")
	errToken      = errors.New("the token in the invite is damaged: copy the invite again, whole")
	errObfs       = errors.New("the obfuscation key in the invite is damaged: copy the invite again, whole")
	errNone       = errors.New("the invite names no supernode: ask for another one")
	errMany       = fmt.Errorf("the invite names more than %d supernodes, the most that an edge talks to: ask for another one", protocol.MaxEdgeSupernodes)
	errTwice      = errors.New("the invite names one supernode twice: ask for another one")
	errOtherNames = errors.New("the invite has the keys of a community with another name: it was put together wrongly, ask for another one")
)

// check reports the first fault that makes an invite unfit to be written or used.
func (v *Invite) check() error {
	// This constructor is cheap, and it knows which names are possible.
	if _, err := crypto.InsecureCommunity(v.Name); err != nil {
		return fmt.Errorf("in the invite, %w", err)
	}
	switch n := len(v.Supernodes); {
	case n == 0:
		return errNone
	case n > protocol.MaxEdgeSupernodes:
		return errMany
	}
	for i, s := range v.Supernodes {
		if err := s.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(v.Supernodes[:i], func(o Supernode) bool { return o.Place() == s.Place() }) {
			return errTwice
		}
	}
	if v.Keys != nil && v.Keys.Name != v.Name {
		return errOtherNames
	}
	return nil
}

// check reports a fault of one supernode.
func (s Supernode) check() error {
	if err := CheckHost(s.Host); err != nil {
		return err
	}
	if s.Port == 0 || !crypto.UsableStatic(s.Key) {
		return errPin
	}
	if len(s.Obfs) > crypto.MaxObfsKey {
		return errObfs
	}
	return nil
}

// CheckHost says what is wrong with the name or IP address of a supernode. A name has the
// letters, digits, hyphens and underscores of ASCII alone (RFC 1123, section 2.1), in labels
// of at most 63 bytes that begin with no hyphen, and 253 bytes in all.
func CheckHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		return nil
	}
	bad := host == "" || len(host) > 253
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		bad = bad || label == "" || len(label) > 63 || label[0] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		})
	}
	if bad {
		return errors.New("the name of a supernode's host is neither an IP address nor a DNS name: such as vps.example or 203.0.113.10")
	}
	return nil
}
