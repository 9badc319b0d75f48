package service

import (
	"context"
	"net/http"
	"sync"

	"hedgerow/internal/localapi"
)

// Run calls work, which ends with ctx, and answers with h on the control socket
// until work has returned: the answers show how it ends. The functions beside run
// as long as the answers do. Run has joined all of them when it returns what work
// returned.
func (s *Service) Run(ctx context.Context, h http.Handler, work func(context.Context) error, beside ...func(context.Context)) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var joined sync.WaitGroup
	joined.Go(func() {
		if err := localapi.ServeListener(serving, s.control, h); err != nil {
			s.silent.Store(true)
			s.cfg.Log.Error("the control socket failed", "err", err)
		}
	})
	for _, f := range beside {
		joined.Go(func() { f(serving) })
	}
	if !s.inherited { // else it knows
		Notify("READY=1")
	}
	err := work(ctx)
	stop()
	joined.Wait()
	return err
}
