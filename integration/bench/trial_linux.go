package main

import (
	"context"
	"time"
)

// A trial is what became of datagrams that were offered at a rate.
type trial struct {
	Offered   float64 // a second: what the sender was asked for
	Sent      uint64
	Received  uint64
	Reordered uint64
	Sending   float64 // seconds that the sender took
	Receiving float64 // seconds from the first arrival to the last one
	GaveUp    bool    // ended early, for its losses
	Late      []late  // the first of those that were reordered
}

const (
	// lossFree is the share that a rate without loss may lose.
	lossFree = 1e-4
	// onPace is the share of a rate that the sender has to reach. Sender and
	// path share the processors: one that cannot keep up is part of the answer.
	onPace = 0.98
	// hopeless is the share of loss after which no second try is made.
	hopeless = 5e-3
)

// rate is what the sender did reach, a second.
func (t trial) rate() float64 { return float64(t.Sent) / t.Sending }

// delivered is what arrived, a second. It never counts the time in which queues
// ran empty as a gain.
func (t trial) delivered() float64 { return float64(t.Received) / max(t.Sending, t.Receiving) }

// lost is the share that did not arrive.
func (t trial) lost() float64 {
	if t.Sent == 0 || t.Received >= t.Sent {
		return 0
	}
	return float64(t.Sent-t.Received) / float64(t.Sent)
}

// clean says that nothing was lost, and held that nothing was lost at the rate
// that was asked for.
func (t trial) clean() bool { return !t.GaveUp && t.Sent > 0 && t.lost() <= lossFree }
func (t trial) held() bool  { return t.clean() && t.rate() >= onPace*t.Offered }

// offer is what a trial does.
type offer struct {
	size   int     // payload in bytes
	rate   float64 // datagrams a second
	length time.Duration
	count  uint64 // datagrams, in the place of a length
	flows  int
	allow  float64 // share of losses after which it ends early; 0: never
}

// datagrams makes one trial from one side to the other one.
func (s *scene) datagrams(ctx context.Context, from, to *side, o offer) (trial, error) {
	expected := o.rate * o.length.Seconds()
	if o.count > 0 {
		expected = float64(o.count)
		o.length = time.Duration(expected / o.rate * 1e9)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*o.length+patience)
	defer cancel()
	s.run++
	t := task{Kind: "udp-read", Addr: to.at(datagramPort), Size: o.size, Flows: o.flows, Run: s.run}
	if o.allow > 0 {
		t.Allow = uint64(expected*o.allow) + 1
	}
	reader, err := start(ctx, to.host, t)
	if err != nil {
		return trial{}, err
	}
	defer reader.kill()
	if err := reader.ready(); err != nil {
		return trial{}, err
	}
	t.Kind, t.Rate, t.Length, t.Count = "udp-write", o.rate, o.length, o.count
	writer, err := start(ctx, from.host, t)
	if err != nil {
		return trial{}, err
	}
	defer writer.kill()
	return settle(reader, writer, o)
}

// settle waits for both ends of a trial.
func settle(reader, writer *generator, o offer) (trial, error) {
	var out poured
	var in arrived
	written := make(chan error, 1)
	go func() {
		err := writer.result(&out)
		reader.stop()
		written <- err
	}()
	if err := reader.result(&in); err != nil {
		return trial{}, err
	}
	if in.GaveUp {
		writer.kill()
		<-written
		return trial{Offered: o.rate, GaveUp: true}, nil
	}
	if err := <-written; err != nil {
		return trial{}, err
	}
	return trial{
		Offered: o.rate, Sent: out.Sent, Received: in.Received, Reordered: in.Reordered,
		Sending: out.Seconds, Receiving: in.Seconds, Late: in.Late,
	}, nil
}
