package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// What -order sends.
const (
	orderCount = 10_000_000
	orderFlows = 4
	orderSize  = 64
)

// checkOrder sends numbered datagrams of several flows through each variant
// that was chosen, at a rate, and fails if one arrives after a later one of its
// flow. Lost ones are counted and are no failure: the rate may be more than the
// path carries.
func checkOrder(ctx context.Context, s settings, rate float64) error {
	if len(s.variants) == len(variants) {
		s.variants, _ = choose("direct", variants, func(v variant) string { return v.name })
	}
	// Otherwise the cable itself reorders when a process changes its processor.
	s.keepOrder = true
	fmt.Printf("%d datagrams of %d flows, %.0f a second\n", orderCount, orderFlows, rate)
	for _, v := range s.variants {
		if err := orderOf(ctx, s, v, rate); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

func orderOf(ctx context.Context, c settings, v variant, rate float64) (err error) {
	s, err := stage(ctx, c, v)
	defer func() {
		if err != nil {
			fmt.Fprint(os.Stderr, s.logs())
		}
		err = errors.Join(err, s.close())
	}()
	if err != nil {
		return err
	}
	t, err := s.datagrams(ctx, &s.a, &s.b, offer{size: orderSize, rate: rate, count: orderCount, flows: orderFlows})
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d sent, %d received (%.4f %% lost), %d out of order, %.0f a second\n",
		v.title, t.Sent, t.Received, t.lost()*100, t.Reordered, t.delivered())
	for _, l := range t.Late {
		fmt.Printf("  after %.3f s: number %d of flow %d arrived after %d\n", l.Seconds, l.Number, l.Flow, l.After)
	}
	if t.Reordered > 0 || t.Received == 0 {
		return fmt.Errorf("%d of %d datagrams are out of order", t.Reordered, t.Received)
	}
	return nil
}
