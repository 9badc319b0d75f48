package main

import (
	"context"
	"flag"
	"time"

	"hedgerow/integration/rig"
)

// longest is how long the demonstration may take, after which it gives up.
const longest = 55 * time.Second

func main() {
	bin := flag.String("bin", "bin", "folder of the commands edge and supernode")
	flag.Parse()
	rig.Main("demo", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, longest)
		defer cancel()
		return show(ctx, *bin)
	})
}

// show plays everything and cleans up, however far it came.
func show(ctx context.Context, bin string) (err error) {
	began := time.Now()
	programs, err := rig.Built(bin)
	if err != nil {
		return err
	}
	before, err := inventory(programs)
	if err != nil {
		return err
	}
	s, err := newStage(ctx, programs)
	if err != nil {
		return err
	}
	failed := s.play()
	if failed != nil {
		s.logs()
	}
	s.title("Cleaning up")
	if err := s.close(); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if err := before.unchanged(programs); err != nil {
		return err
	}
	s.say("No process, namespace, device or file of this is left.")
	s.say("That was all, in %.1f s. The README says how to run it on real machines.", time.Since(began).Seconds())
	return nil
}
