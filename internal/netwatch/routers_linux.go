package netwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/nat/nat64"
)

// The messages by which the kernel passes on options of router advertisements that it has no
// use for itself (rtnetlink, linux/rtnetlink.h and linux/if_link.h): struct nduseroptmsg, and
// behind it the options.
const (
	useroptGroup  = 20 // RTNLGRP_ND_USEROPT
	useroptKind   = 68 // RTM_NEWNDUSEROPT
	useroptLen    = 16 // of the struct, in bytes
	routerAdvert  = 134
	optionUnit    = 8 // bytes of option lengths (RFC 4861, section 4.6)
	useroptICMPAt = 8 // in the struct: the ICMP type
	useroptOptsAt = 2 // in the struct: how many bytes of options, u16
)

// Routers calls told with each prefix of a NAT64 that a router advertises, and for how long
// (RFC 8781, PREF64), until ctx ends. It hears what the kernel does: nothing on interfaces
// that take no advertisements, nor where another program reads them instead. The error is the
// kernel's refusal.
func Routers(ctx context.Context, told func(p nat64.Prefix, lifetime time.Duration)) error {
	f, err := subscribe(1 << (useroptGroup - 1))
	if err != nil {
		return fmt.Errorf("cannot listen for router advertisements: %w", err)
	}
	defer f.Close()
	defer context.AfterFunc(ctx, func() { _ = f.Close() })()
	buf := make([]byte, messageRoom)
	for {
		n, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // some were lost; routers repeat them
		case err != nil:
			return fmt.Errorf("cannot listen for router advertisements: %w", err)
		default:
			readOptions(buf[:n], told)
		}
	}
}

// readOptions calls told with each prefix in a datagram of the kernel's.
func readOptions(b []byte, told func(p nat64.Prefix, lifetime time.Duration)) {
	for len(b) >= headerLen {
		length := int(binary.NativeEndian.Uint32(b))
		if length < headerLen || length > len(b) {
			return
		}
		if binary.NativeEndian.Uint16(b[4:]) == useroptKind {
			readUserOptions(b[headerLen:length], told)
		}
		b = b[min((length+3)&^3, len(b)):]
	}
}

// readUserOptions reads a struct nduseroptmsg and its options.
func readUserOptions(b []byte, told func(p nat64.Prefix, lifetime time.Duration)) {
	if len(b) < useroptLen || b[0] != unix.AF_INET6 || b[useroptICMPAt] != routerAdvert {
		return
	}
	options := b[useroptLen:]
	options = options[:min(len(options), int(binary.NativeEndian.Uint16(b[useroptOptsAt:])))]
	for len(options) >= optionUnit {
		length := int(options[1]) * optionUnit
		if length == 0 || length > len(options) {
			return
		}
		if p, lifetime, ok := nat64.ParseOption(options[:length]); ok {
			told(p, lifetime)
		}
		options = options[length:]
	}
}
