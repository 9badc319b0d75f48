package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hedgerow/integration/lab"
)

// The scene.
const (
	superAddr  = "203.0.113.1"
	superAddr6 = "2001:db8:1::1"
	annaWAN    = "198.51.100.1"
	annaLAN6   = "2001:db8:a::/64"
	bertWAN    = "198.51.100.2"
	carlaAddr6 = "2001:db8:c::1"
	socketName = "demo.sock" // of an edge: the community's name
)

// patience is how long any single thing may take.
const patience = 5 * time.Second

// cast is the machines by their names.
type cast struct{ super, anna, bert, carla *actor }

// play is the whole demonstration.
func (s *stage) play() error {
	var c cast
	for _, part := range []func(*cast) error{
		s.build, s.start, s.meet, s.transfer, s.broadcast, s.killSupernode, s.restartSupernode,
	} {
		if err := part(&c); err != nil {
			return err
		}
	}
	return nil
}

// build makes the internet.
func (s *stage) build(c *cast) error {
	s.title("A small internet in network namespaces of this machine")
	super, err := s.lab.Host("super", superAddr, superAddr6)
	if c.super, err = s.enter("super", super, err); err != nil {
		return err
	}
	annaHome, err := s.lab.Router("anna-router", annaWAN, lab.PortRestricted, annaLAN6)
	if err != nil {
		return err
	}
	anna, err := annaHome.Host("anna")
	if c.anna, err = s.enter("anna", anna, err); err != nil {
		return err
	}
	bertHome, err := s.lab.Router("bert-router", bertWAN, lab.PortRestricted)
	if err != nil {
		return err
	}
	bert, err := bertHome.Host("bert")
	if c.bert, err = s.enter("bert", bert, err); err != nil {
		return err
	}
	carla, err := s.lab.Host("carla", carlaAddr6)
	if c.carla, err = s.enter("carla", carla, err); err != nil {
		return err
	}
	s.say("super  %s and %s, on the internet", superAddr, superAddr6)
	s.say("anna   %s behind a NAT (%s), with IPv6 behind a firewall", anna.Addr(), annaWAN)
	s.say("bert   %s behind another NAT (%s), without IPv6", bert.Addr(), bertWAN)
	s.say("carla  %s, without IPv4", carlaAddr6)
	return nil
}

// start starts the commands.
func (s *stage) start(c *cast) error {
	s.title("A supernode, and three edges in one community")
	key := filepath.Join(s.rig.Dir, "key")
	if err := os.WriteFile(key, []byte("hedges are made of thorns, berries and birds\n"), 0o600); err != nil {
		return err
	}
	if err := s.begin(c.super, "supernode -p 7654", "supernode.sock", "listening on"); err != nil {
		return err
	}
	for _, e := range []struct {
		actor     *actor
		supernode string
	}{{c.anna, superAddr}, {c.bert, superAddr}, {c.carla, "[" + superAddr6 + "]"}} {
		line := fmt.Sprintf("edge -c demo --key-file %s --name %s -l %s:7654", key, e.actor.name, e.supernode)
		if err := s.begin(e.actor, line, socketName, "ready"); err != nil {
			return err
		}
	}
	s.said("")
	for _, a := range []*actor{c.anna, c.bert, c.carla} {
		p, err := s.rig.AwaitAddress(s.ctx, a.program)
		if err != nil {
			return err
		}
		a.addr = p.Addr()
		s.say("%-6s has %s on edge0, leased by the supernode", a.name, p)
	}
	return nil
}

// meet shows the way from the relay to a direct path.
func (s *stage) meet(c *cast) error {
	s.title("Two homes behind NATs meet: by the relay at once, directly soon after")
	s.typed(c.anna, fmt.Sprintf("ping -c 1 %s    # bert", c.bert.addr))
	began := time.Now()
	if _, err := s.ping(c.anna, c.bert.addr, patience); err != nil {
		return err
	}
	first := time.Since(began)
	relayed, direct, err := s.turn(c, began)
	if err != nil {
		return err
	}
	s.said(fmt.Sprintf("answered after %.1f ms, the first packet between the two ever", milliseconds(first)))
	if relayed.text != "" {
		s.say("%.0f ms after the ping was sent:", milliseconds(relayed.after))
		s.typed(c.anna, "edge peers")
		s.said(relayed.text)
	} else {
		s.say("(The direct path was faster than we could look at the relayed one.)")
	}
	s.say("After %.0f ms, without anybody's doing:", milliseconds(direct.after))
	s.typed(c.anna, "edge peers")
	s.said(direct.text)

	for _, way := range [][2]*actor{{c.carla, c.anna}, {c.carla, c.bert}} {
		s.typed(way[0], fmt.Sprintf("ping -c 1 %s    # %s", way[1].addr, way[1].name))
		rtt, err := s.ping(way[0], way[1].addr, patience)
		if err != nil {
			return err
		}
		s.said(fmt.Sprintf("answered in %.1f ms", milliseconds(rtt)))
	}
	if err := s.direct(c.carla, c.anna, patience); err != nil {
		return err
	}
	s.say("carla and anna share IPv6; carla and bert share only the supernode:")
	return s.peers(c.carla)
}

// sight is what edge peers printed, and when.
type sight struct {
	text  string
	after time.Duration
}

// turn looks at anna's peers until bert is reached directly, and returns the
// first sight of either path.
func (s *stage) turn(c *cast, began time.Time) (relayed, direct sight, err error) {
	for time.Since(began) < 2*patience {
		after := time.Since(began)
		text, err := s.ask(c.anna, "edge peers")
		if err != nil {
			return relayed, direct, err
		}
		switch path := pathTo(text, c.bert.name); {
		case path == "relay" && relayed.text == "":
			relayed = sight{text, after}
		case path == "direct":
			return relayed, sight{text, after}, nil
		}
	}
	return relayed, direct, fmt.Errorf("anna and bert found no direct path in %v", 2*patience)
}

// pathTo returns the path to a peer in what edge peers prints.
func pathTo(table, name string) string {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == name {
			return f[2]
		}
	}
	return ""
}

// peers shows the peers of one machine.
func (s *stage) peers(a *actor) error {
	text, err := s.ask(a, "edge peers")
	if err != nil {
		return err
	}
	s.typed(a, "edge peers")
	s.said(text)
	return nil
}

// killSupernode shows what does not need it.
func (s *stage) killSupernode(c *cast) error {
	s.title("The supernode is killed: direct traffic goes on")
	s.typed(c.super, "kill -9 $(pidof supernode)")
	if err := c.super.program.Kill(); err != nil {
		return err
	}
	const pings, apart = 30, 100 * time.Millisecond
	s.typed(c.anna, fmt.Sprintf("ping -c %d -i %.1f %s    # bert", pings, apart.Seconds(), c.bert.addr))
	answered := 0
	for range pings {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second) // the machine may be busy
		_, err := c.anna.host.Ping(ctx, c.bert.addr)
		cancel()
		if err == nil {
			answered++
		}
		time.Sleep(apart)
	}
	s.said(fmt.Sprintf("%d of %d answered", answered, pings))
	if answered != pings {
		return fmt.Errorf("%d pings were lost without the supernode", pings-answered)
	}
	return s.peers(c.anna)
}

// restartSupernode shows that nobody has to do anything when it is back.
func (s *stage) restartSupernode(c *cast) error {
	s.title("The supernode is back: relayed traffic goes on by itself")
	if err := s.begin(c.super, "supernode -p 7654", "supernode.sock", "listening on"); err != nil {
		return err
	}
	began := time.Now()
	s.typed(c.carla, fmt.Sprintf("ping %s    # bert, by the relay", c.bert.addr))
	if _, err := s.ping(c.carla, c.bert.addr, patience); err != nil {
		return err
	}
	s.said(fmt.Sprintf("answered %.0f ms after the supernode listened again", milliseconds(time.Since(began))))
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
