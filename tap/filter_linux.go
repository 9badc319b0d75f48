package tap

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// mostRules bounds how many rules of the firewall are looked at: a list of blocked
// addresses written as rules has as many as it likes.
const mostRules = 1 << 14

// A chain is a base chain of the firewall through which forwarded frames go.
type chain struct {
	family      uint8
	table, name string
	drops       bool // by its policy, or by a last rule without a condition
	excepts     bool // it has a rule about bridged frames (iptables' physdev)
	names       bool // a rule of its table is about the device, or a network behind this host
}

// forwardChains returns the base chains of nftables at the hook forward, those of
// iptables-nft among them, as far as they concern the caller.
func (l *links) forwardChains(concerns func(*chain) bool) (list []chain, err error) {
	if l.sockets[unix.NETLINK_NETFILTER] == nil {
		return nil, nil
	}
	err = l.tables(unix.NFT_MSG_GETCHAIN, unix.AF_UNSPEC, func(family uint8, b []byte) bool {
		if c, ok := parseChain(family, b); ok && concerns(&c) {
			list = append(list, c)
		}
		return true
	})
	for i := range list {
		err = errors.Join(err, l.readRules(&list[i]))
	}
	return list, ignoreMissing(err)
}

// readRules reads the rules of a chain.
func (l *links) readRules(c *chain) error {
	seen, last := 0, false
	err := l.tables(unix.NFT_MSG_GETRULE, c.family, func(family uint8, b []byte) bool {
		table, name, drops, excepts := parseRule(b)
		// A kernel that does not know the condition tells of all rules.
		if family == c.family && table == c.table && name == c.name {
			last, c.excepts = drops, c.excepts || excepts
		}
		seen++
		return seen < mostRules
	}, nl.NewRtAttr(unix.NFTA_RULE_TABLE, nl.ZeroTerminated(c.table)), nl.NewRtAttr(unix.NFTA_RULE_CHAIN, nl.ZeroTerminated(c.name)))
	c.drops = c.drops || last && seen < mostRules
	return err
}

// ignoreMissing forgets that a kernel has no nftables, or that its tables changed
// meanwhile: the next look finds the rest.
func ignoreMissing(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// tables dumps what nftables has of a kind, under conditions.
func (l *links) tables(kind int, family uint8, f func(family uint8, attributes []byte) bool, conditions ...*nl.RtAttr) error {
	const headLen = 4 // struct nfgenmsg
	r := l.request(unix.NFNL_SUBSYS_NFTABLES<<8|kind, unix.NLM_F_DUMP)
	head := []byte{family, unix.NFNETLINK_V0, 0, 0}
	for _, c := range conditions {
		head = append(head, c.Serialize()...)
	}
	r.AddRawData(head)
	return r.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(msg []byte) bool {
		return len(msg) < headLen || f(msg[0], msg[headLen:])
	})
}

// Hook, policy and verdict of nftables (linux/netfilter.h).
const (
	hookForward = 2
	verdictDrop = 0
	bothFamily  = 1 // NFPROTO_INET
	ip4Family   = 2
	bridgeRules = 7
	ip6Family   = 10
)

// parseChain reads a base chain of the hook forward; others are none.
func parseChain(family uint8, b []byte) (c chain, ok bool) {
	c.family = family
	err := eachAttribute(b, func(kind uint16, b []byte) {
		switch kind {
		case unix.NFTA_CHAIN_TABLE:
			c.table = text(b)
		case unix.NFTA_CHAIN_NAME:
			c.name = text(b)
		case unix.NFTA_CHAIN_HOOK:
			_ = eachAttribute(b, func(kind uint16, b []byte) {
				ok = ok || kind == unix.NFTA_HOOK_HOOKNUM && networkNumber(b) == hookForward
			})
		case unix.NFTA_CHAIN_POLICY:
			c.drops = networkNumber(b) == verdictDrop
		}
	})
	return c, ok && err == nil
}

// parseRule tells of which chain a rule is, whether it drops everything, and whether
// it is about bridged frames.
func parseRule(b []byte) (table, name string, drops, excepts bool) {
	conditions := false
	_ = eachAttribute(b, func(kind uint16, b []byte) {
		switch kind {
		case unix.NFTA_RULE_TABLE:
			table = text(b)
		case unix.NFTA_RULE_CHAIN:
			name = text(b)
		case unix.NFTA_RULE_EXPRESSIONS:
			_ = eachAttribute(b, func(_ uint16, b []byte) {
				switch expression, data := parseExpression(b); {
				case expression == "counter", expression == "log", expression == "comment":
				case expression == "reject", expression == "immediate" && isDrop(data):
					drops = true
				case expression == "target" && bytes.Contains(data, []byte("REJECT\x00")):
					drops = true
				default:
					conditions = true
					excepts = excepts || expression == "match" && bytes.Contains(data, []byte("physdev\x00"))
				}
			})
		}
	})
	return table, name, drops && !conditions, excepts
}

func parseExpression(b []byte) (name string, data []byte) {
	_ = eachAttribute(b, func(kind uint16, b []byte) {
		switch kind {
		case unix.NFTA_EXPR_NAME:
			name = text(b)
		case unix.NFTA_EXPR_DATA:
			data = b
		}
	})
	return name, data
}

// isDrop reports whether the data of an expression "immediate" is the verdict drop.
func isDrop(data []byte) (drop bool) {
	_ = eachAttribute(data, func(kind uint16, b []byte) {
		if kind != unix.NFTA_IMMEDIATE_DATA {
			return
		}
		_ = eachAttribute(b, func(kind uint16, b []byte) {
			if kind != unix.NFTA_DATA_VERDICT {
				return
			}
			_ = eachAttribute(b, func(kind uint16, b []byte) {
				drop = drop || kind == unix.NFTA_VERDICT_CODE && networkNumber(b) == verdictDrop
			})
		})
	})
	return drop
}

// networkNumber reads a number as nftables has it; another length is no number.
func networkNumber(b []byte) uint32 {
	if len(b) != 4 {
		return 1<<32 - 1
	}
	return binary.BigEndian.Uint32(b)
}

// netfilterOn tells which of br_netfilter's switches of the namespace are on.
func netfilterOn() (ip4, ip6 bool) {
	return switched("bridge/bridge-nf-call-iptables", false), switched("bridge/bridge-nf-call-ip6tables", false)
}
