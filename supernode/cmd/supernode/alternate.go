package main

import (
	"fmt"
	"log/slog"
	"strconv"

	"hedgerow/internal/cli"
	"hedgerow/internal/lan"
	"hedgerow/transport"
)

// secondPort is the choice of the second UDP port. Without Asked it is that of
// usualSecond, if that is free.
type secondPort struct {
	Asked  bool
	Number uint16 // 0: none
}

// parseSecondPort reads --second-port.
func parseSecondPort(s string, faults *cli.Faults) secondPort {
	if s == "" {
		return secondPort{}
	}
	if s == "off" {
		return secondPort{Asked: true}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		faults.Addf("--second-port %s is neither a port from 1 to 65535 nor off", s)
	}
	return secondPort{Asked: true, Number: uint16(n)}
}

// usualSecond returns the second port that goes with a first one if none was asked for;
// 0: none. It is the next one that an edge on this host does not need to find members on
// its LAN.
func usualSecond(first uint16) uint16 {
	second := first + 1
	if second == lan.DefaultPort {
		second++
	}
	return second
}

// openAlternate opens the second UDP port, at which edges find out how their
// NATs map. It is nil without one; only a port that was asked for has to be free,
// unless strict. note is a sentence about one that is not.
func openAlternate(o options, first uint16, strict bool, log *slog.Logger) (conn *transport.UDP, note string, err error) {
	port := o.Second.Number
	if !o.Second.Asked {
		port = usualSecond(first)
	}
	if port == 0 {
		return nil, "", nil
	}
	if conn, err = transport.ListenUDP(port, transport.Options{Address: o.Address, Log: log}); err == nil {
		return conn, "", nil
	}
	if !o.Second.Asked && !strict {
		note = fmt.Sprintf("the second UDP port, %d, is not free: edges with this supernode alone cannot find out how their NATs map; choose another with --second-port PORT, or none with --second-port off.", port)
		return nil, note, nil
	}
	return nil, "", cli.Failed(err, "")
}
