package main

import "strings"

// configuration is what the supernode runs with, as the log has it: what was opened, and
// the options that are not what they are by default.
func (p *process) configuration() []any {
	o, all := &p.options, []any{"udp", p.socket.LocalAddr().String()}
	add := func(name, value string) {
		if value != "" {
			all = append(all, name, value)
		}
	}
	if p.second != nil {
		add("second_port", p.second.LocalAddr().String())
	}
	var streams []string
	for _, l := range p.listeners {
		streams = append(streams, l.Addr().String())
	}
	add("tls", strings.Join(streams, ","))
	if p.turn != nil {
		add("turn", p.turn.Conn.LocalAddr().String())
		add("turn_address", p.turn.Address.String())
	}
	if p.http != nil {
		add("http", p.http.Addr().String())
	}
	add("public_address", o.Public)
	if len(o.Obfs.Bytes) > 0 {
		add("obfs_key", "on")
	}
	if o.Pool.IsValid() {
		add("pool", o.Pool.String())
	}
	for _, l := range limits {
		switch {
		case l.count != nil && *l.count(&o.Limits) != 0:
			all = append(all, "limit."+l.name, *l.count(&o.Limits))
		case l.rate != nil && *l.rate(&o.Limits) != 0:
			all = append(all, "limit."+l.name, *l.rate(&o.Limits))
		case l.month != nil && *l.month(&o.Limits) != 0:
			all = append(all, "limit."+l.name, *l.month(&o.Limits))
		}
	}
	add("state_dir", o.StateDir)
	add("control", o.Control)
	return append(all, "mode", p.rules.rules.Mode().String(), "rules", len(p.rules.rules.List()))
}
