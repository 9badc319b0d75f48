package attack

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
	"hedgerow/protocol"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
)

const (
	// communityName has the 16 bytes that n2n's packets show in clear.
	communityName = "sixteen-byte-net"
	passphrase    = "quiet-otter-94-lantern-brass-moth"
	superAddr     = "203.0.113.1:7654"
)

// device is the name of every edge's TAP device.
const device = "edge0"

// A scene is a lab with one supernode.
type scene struct {
	t     *testing.T
	ctx   context.Context
	lab   *lab.Lab
	rig   *rig.Rig
	super *rig.Program
}

// A member is an edge of the scene's community.
type member struct {
	*rig.Program
	at    *lab.Host
	mac   protocol.MAC
	addr  netip.Addr // on the overlay, IPv4
	addr6 netip.Addr // on the overlay, IPv6
}

// newScene makes a lab and starts a supernode at 203.0.113.1 and
// 2001:db8:1::1.
func newScene(t *testing.T) *scene { return newSceneWith(t, newLab(t)) }

// newSceneWith is newScene in a lab that there is, with further options of the
// supernode.
func newSceneWith(t *testing.T, l *lab.Lab, more ...string) *scene {
	return newSceneFor(t, l, 90*time.Second, more...)
}

// newSceneFor is newSceneWith for a test that takes so long at most.
func newSceneFor(t *testing.T, l *lab.Lab, lasts time.Duration, more ...string) *scene {
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	t.Cleanup(cancel)
	s := &scene{t: t, ctx: ctx, lab: l, rig: &rig.Rig{Programs: programs, Dir: t.TempDir()}}
	host := lab.Must(l.Host("sn", "203.0.113.1", "2001:db8:1::1"))
	s.super = lab.Must(s.rig.Supernode(ctx, host, "super", more...))
	if err := s.super.Await(ctx, "identity"); err != nil {
		t.Fatal(err)
	}
	return s
}

// home adds a host behind a router of that kind.
func (s *scene) home(name, wan string, kind lab.Kind) *lab.Host {
	s.t.Helper()
	return lab.Must(lab.Must(s.lab.Router("r-"+name, wan, kind)).Host(name))
}

// join starts a member of the community and waits for its address.
func (s *scene) join(at *lab.Host, more ...string) *member {
	s.t.Helper()
	args := append([]string{"-c", communityName, "-k", passphrase}, more...)
	if len(more) == 0 || more[0] != "-l" {
		args = append(args, "-l", superAddr)
	}
	m := &member{Program: lab.Must(s.rig.Edge(s.ctx, at, at.Name(), args...)), at: at}
	prefix, err := s.rig.AwaitAddress(s.ctx, m.Program)
	if err != nil {
		s.t.Fatal(err)
	}
	m.addr = prefix.Addr()
	st := lab.Must(s.rig.Status(s.ctx, m.Program))
	m.mac = lab.Must(protocol.ParseMAC(st.MAC))
	for _, text := range st.Prefixes {
		if a := lab.Must(netip.ParsePrefix(text)).Addr(); a.Is6() {
			m.addr6 = a
		}
	}
	return m
}

// awaitPath waits until both members reach each other by a path.
func (s *scene) awaitPath(a, b *member, path control.Path) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
	defer cancel()
	for _, pair := range [][2]*member{{a, b}, {b, a}} {
		for { // a path is made when somebody needs it
			short, cancel := context.WithTimeout(ctx, time.Second)
			_, err := pair[0].at.Ping(short, pair[1].addr)
			cancel()
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				s.t.Fatalf("%s does not reach %s: %v\n%s", pair[0].Name, pair[1].Name, err, pair[0].Log())
			}
		}
		if _, err := s.rig.AwaitPath(ctx, pair[0].Program, pair[1].Name, path); err != nil {
			s.t.Fatal(err)
		}
	}
}

// A town is two members that reach each other directly, left and right, and two
// that are relayed, far and away.
type town struct {
	*scene
	left, right, far, away *member
}

func newTown(t *testing.T) *town {
	s := newScene(t)
	flooding := []string{"--storm", "off"} // the tests flood as fast as they can
	w := &town{
		scene: s,
		left:  s.join(s.home("left", "198.51.100.1", lab.PortRestricted), flooding...),
		right: s.join(s.home("right", "198.51.100.2", lab.PortRestricted), flooding...),
		far:   s.join(s.home("far", "198.51.100.3", lab.SymmetricRandom), flooding...),
		away:  s.join(s.home("away", "198.51.100.4", lab.SymmetricRandom), flooding...),
	}
	w.awaitPath(w.left, w.right, control.PathDirect)
	w.awaitPath(w.far, w.away, control.PathRelay)
	return w
}

// drops returns how many packets each reason has dropped, at a member.
func (s *scene) drops(m *member) map[string]uint64 {
	s.t.Helper()
	return lab.Must(s.rig.Status(s.ctx, m.Program)).Drops
}

// superStatus asks the supernode for its state, as its operator would.
func (s *scene) superStatus() admin.Status {
	s.t.Helper()
	return lab.Must(s.rig.SupernodeStatus(s.ctx, s.super))
}

func total(drops map[string]uint64) (n uint64) {
	for _, v := range drops {
		n += v
	}
	return n
}

// secrets is what the members of the community know, and the supernode's key,
// which everybody may know.
type secrets struct {
	community *crypto.Community
	edge      *crypto.Mask
	super     *crypto.Mask
	hello     *crypto.Mask
	superKey  [32]byte
	scratch   *crypto.Scratch
}

func (s *scene) secrets() *secrets {
	s.t.Helper()
	c := lab.Must(crypto.FromPassphrase(communityName, passphrase))
	id, created, err := crypto.LoadIdentity(filepath.Join(s.rig.Dir, "super", supernode.IdentityFile))
	if err != nil || created {
		s.t.Fatalf("the supernode's identity: created %v, %v", created, err)
	}
	return &secrets{
		community: c,
		edge:      crypto.NewMask(c.MaskKey()),
		super:     crypto.NewMask(crypto.SupernodeMaskKey(id.Static, nil)),
		hello:     crypto.NewMask(crypto.HelloMaskKey(nil)),
		superKey:  id.Static,
		scratch:   crypto.NewScratch(),
	}
}
