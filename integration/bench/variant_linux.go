package main

import (
	"context"
	"slices"

	"hedgerow/crypto"
	"hedgerow/edge/control"
)

// A variant is one way to join the two sides.
type variant struct {
	name, title string
	build       func(ctx context.Context, s *scene, v variant) error
	path        control.Path // that the edges have to find; empty: there are none
	transform   string       // of the key; empty: no encryption
	args        []string     // of the edges, beside the common ones
	mtu         int          // of the LANs that the edges join, and of their devices; 0: no LANs, 1370
	figures     []string     // that are measured of it; empty: all
}

// measures says whether a figure is one of the variant's.
func (v variant) measures(f figure) bool {
	return len(v.figures) == 0 || slices.Contains(v.figures, f.name)
}

// edges says whether hedgerow is part of the variant.
func (v variant) edges() bool { return v.path != "" }

// The hidden options of the edge that choose the way of the data: the product's
// own, and the simplest possible one.
var (
	native = []string{"--tap-backend", "native"}
	water  = []string{"--tap-backend", "water"}
	naive  = []string{"--tap-backend", "water", "--offload", "gso=off,gro=off,batch=off"}

	stream = []string{"one"}
)

// variants are all that can be measured, in the order of the tables.
var variants = []variant{
	{name: "veth", title: "raw veth, offloads on", build: buildCable},
	{name: "vxlan", title: "kernel VXLAN, no encryption", build: buildVXLAN},
	{name: "v0", title: "V0: water, one frame per call", build: buildDirect, path: control.PathDirect, transform: crypto.TransformAES, args: naive},
	{name: "direct", title: "hedgerow direct, AES-256-GCM", build: buildDirect, path: control.PathDirect, transform: crypto.TransformAES, args: native},
	{name: "water", title: "hedgerow direct, water backend", build: buildDirect, path: control.PathDirect, transform: crypto.TransformAES, args: water},
	{name: "chacha", title: "hedgerow direct, ChaCha20-Poly1305", build: buildDirect, path: control.PathDirect, transform: crypto.TransformChaCha, args: native},
	{name: "clear", title: "hedgerow direct, no encryption", build: buildDirect, path: control.PathDirect, args: native},
	{name: "flat1500", title: "hedgerow direct, MTU 1500", build: buildDirect, path: control.PathDirect, transform: crypto.TransformAES, args: append([]string{"-M", "1500"}, native...), figures: stream},
	{name: "lan1500", title: "two LANs of MTU 1500, bridged", build: buildLANs, path: control.PathDirect, transform: crypto.TransformAES, args: native, mtu: 1500, figures: stream},
	{name: "flat9000", title: "hedgerow direct, MTU 9000", build: buildDirect, path: control.PathDirect, transform: crypto.TransformAES, args: append([]string{"-M", "9000"}, native...), figures: stream},
	{name: "lan9000", title: "two LANs of MTU 9000, bridged", build: buildLANs, path: control.PathDirect, transform: crypto.TransformAES, args: native, mtu: 9000, figures: stream},
	{name: "relay", title: "hedgerow relayed, AES-256-GCM", build: buildRelay, path: control.PathRelay, transform: crypto.TransformAES, args: native},
}
