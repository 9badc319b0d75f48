package main

import (
	"context"
	"fmt"
	"time"
)

// one is a single TCP stream, and what it costs.
func (c *campaign) one(ctx context.Context, s *scene, _ variant, into values) error {
	there, back, err := both(ctx, s, 1, c.lengths)
	if err != nil {
		return err
	}
	into["one-ab"], into["one-ba"] = there.gbits(), back.gbits()
	into["one"] = (there.gbits() + back.gbits()) / 2
	into["cpu"] = (there.perGB(there.Machine) + back.perGB(back.Machine)) / 2
	into["cpu-edges"] = (there.perGB(there.Edges) + back.perGB(back.Edges)) / 2
	return nil
}

// four is four TCP streams at once.
func (c *campaign) four(ctx context.Context, s *scene, _ variant, into values) error {
	l := c.lengths
	l.stream /= 2
	there, back, err := both(ctx, s, 4, l)
	if err != nil {
		return err
	}
	into["four-ab"], into["four-ba"] = there.gbits(), back.gbits()
	into["four"] = (there.gbits() + back.gbits()) / 2
	return nil
}

// both measures streams in either direction.
func both(ctx context.Context, s *scene, count int, l lengths) (there, back streamed, err error) {
	if there, err = s.streams(ctx, &s.a, &s.b, count, l); err != nil {
		return there, back, fmt.Errorf("a to b: %w", err)
	}
	if back, err = s.streams(ctx, &s.b, &s.a, count, l); err != nil {
		return there, back, fmt.Errorf("b to a: %w", err)
	}
	return there, back, nil
}

// idle is the round trip on a path without other traffic.
func (c *campaign) idle(ctx context.Context, s *scene, _ variant, into values) error {
	p, err := s.pings(ctx, &s.a, &s.b, c.lengths.pings, pingGap)
	if err != nil {
		return err
	}
	into["ping-p50"], into["ping-p99"] = quantile(p.Micros, 0.5), quantile(p.Micros, 0.99)
	return nil
}

// loaded is the round trip beside a TCP stream in the same direction.
func (c *campaign) loaded(ctx context.Context, s *scene, _ variant, into values) error {
	l := c.lengths
	count := int(l.stream / loadGap)
	// The stream runs until the last ping is answered, however late.
	l.stream += patience
	short, cancel := context.WithCancel(ctx)
	flowing := make(chan error, 1)
	go func() {
		_, err := s.streams(short, &s.a, &s.b, 1, l)
		flowing <- err
	}()
	defer func() {
		cancel()
		<-flowing
	}()
	select {
	case err := <-flowing:
		flowing <- nil
		return fmt.Errorf("the load ended early: %w", err)
	case <-time.After(l.warmup):
	}
	p, err := s.pings(ctx, &s.a, &s.b, count, loadGap)
	if err != nil {
		return err
	}
	select {
	case err := <-flowing:
		flowing <- nil
		return fmt.Errorf("the load ended early: %w", err)
	default:
	}
	into["load-p50"], into["load-p99"] = quantile(p.Micros, 0.5), quantile(p.Micros, 0.99)
	return nil
}

// small is datagrams of 64 bytes.
func (c *campaign) small(ctx context.Context, s *scene, v variant, into values) error {
	return c.lossless(ctx, s, v, "udp64", 64, c.lengths.confirm, into)
}

// large is datagrams of 1200 bytes.
func (c *campaign) large(ctx context.Context, s *scene, v variant, into values) error {
	return c.lossless(ctx, s, v, "udp1200", 1200, c.lengths.confirm/4, into)
}

// lossless finds the highest rate of datagrams without loss, and what arrives
// when twice as many are sent.
func (c *campaign) lossless(ctx context.Context, s *scene, v variant, key string, size int, full time.Duration, into values) error {
	hint := v.name + " " + key
	found := search{
		probe: func(rate float64) (trial, error) {
			return s.datagrams(ctx, &s.a, &s.b, offer{size: size, rate: rate, length: c.lengths.probe, allow: hopeless})
		},
		confirm: func(rate float64) (trial, error) {
			return s.datagrams(ctx, &s.a, &s.b, offer{size: size, rate: rate, length: full, allow: lossFree})
		},
		twice: func(rate float64) (trial, error) {
			return s.datagrams(ctx, &s.a, &s.b, offer{size: size, rate: 2 * rate, length: c.lengths.twice})
		},
		hint: c.hints[hint], close: c.lengths.close, again: c.lengths.again,
	}
	best, over, err := found.run()
	if err != nil {
		return err
	}
	c.hints[hint] = best.rate()
	into[key] = best.delivered()
	into[key+"-offered"] = over.rate()
	into[key+"-delivered"] = over.delivered()
	into[key+"-share"] = over.delivered() / best.delivered()
	return nil
}
